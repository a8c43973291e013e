import { pause } from '../concurrency/backoff.ts';
import { at, type KubeObject, type ObjectId, textAt } from '../object/kube-object.ts';
import { errorMessage, hasStatus } from './api-error.ts';
import type { Cluster } from './client.ts';

/** Times as the Kubernetes components have them. */
export interface ElectionTimes {
  /** How long others wait after the last renewal that they saw. */
  readonly leaseMs: number;
  /** A leader that could not renew for so long stops; well before the lease is over. */
  readonly renewMs: number;
  readonly retryMs: number;
}

export interface ElectionOptions {
  readonly cluster: Pick<Cluster, 'get' | 'create' | 'replace'>;
  readonly namespace: string;
  /** Tells this process from all others. */
  readonly holder: string;
  readonly times?: Partial<ElectionTimes>;
  /** Told why the lease could not be asked for; once a try. */
  readonly failed?: (reason: string) => void;
}

/** Lets one of several processes act, by a Lease in the cluster. */
export interface Election {
  /** Waits until this process leads. False when the signal aborts before. */
  win(signal: AbortSignal): Promise<boolean>;
  /** Goes on leading. Answers `lost`, while nobody else can lead yet, when that cannot be renewed; `ended` when the signal aborts. */
  keep(signal: AbortSignal): Promise<'lost' | 'ended'>;
  /** Gives the lead away at once, when this process has it; what cannot be written runs out by itself. */
  release(): Promise<void>;
  /** Who leads, as far as is known. */
  readonly leader: string;
  readonly leading: boolean;
}

const defaultTimes: ElectionTimes = { leaseMs: 15_000, renewMs: 10_000, retryMs: 2_000 };
const releaseMs = 1_000;
const name = 'brokkr-agent';

export function createElection({ cluster, namespace, holder, times, failed }: ElectionOptions): Election {
  const { leaseMs, renewMs, retryMs } = { ...defaultTimes, ...times };
  const id: ObjectId = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', namespace, name };
  // Clocks of two machines are never compared: what counts is how long ago the lease was seen to change.
  let seen = { text: '', at: 0 };
  let leader = '';
  let renewedAt: number | undefined;

  const attempt = async (signal: AbortSignal): Promise<'held' | 'other'> => {
    const askedAt = performance.now();
    const live = await cluster.get(id, signal);
    const text = JSON.stringify(live?.spec ?? {});
    if (text !== seen.text) seen = { text, at: askedAt };
    const current = textAt(live, 'spec', 'holderIdentity') ?? '';
    const isMine = current === holder;
    leader = current;
    const untilMs = seen.at + 1_000 * Number(at(live, 'spec', 'leaseDurationSeconds') ?? 0);
    if (current !== '' && !isMine && askedAt < untilMs) return 'other';
    const written = leaseOf(live, isMine);
    try {
      await (live ? cluster.replace(written, signal) : cluster.create(written, signal));
    } catch (error) {
      if (hasStatus(error, 409)) return 'other';
      throw error;
    }
    leader = holder;
    renewedAt = askedAt;
    return 'held';
  };
  const leaseOf = (live: KubeObject | undefined, isMine: boolean): KubeObject => {
    const now = new Date().toISOString().replace('Z', '000Z');
    const transitions = Number(at(live, 'spec', 'leaseTransitions') ?? 0);
    return {
      apiVersion: id.apiVersion,
      kind: id.kind,
      metadata: live?.metadata ?? { name, namespace },
      spec: {
        holderIdentity: holder,
        leaseDurationSeconds: Math.ceil(leaseMs / 1_000),
        acquireTime: (isMine && textAt(live, 'spec', 'acquireTime')) || now,
        renewTime: now,
        leaseTransitions: live && !isMine ? transitions + 1 : transitions,
      },
    };
  };
  /** One try, given up when it would be of no more use. */
  const tryOnce = async (signal: AbortSignal, mostMs: number): Promise<'held' | 'other' | 'failed'> => {
    try {
      return await attempt(AbortSignal.any([signal, AbortSignal.timeout(Math.max(1, Math.round(mostMs)))]));
    } catch (error) {
      if (!signal.aborted) failed?.(errorMessage(error));
      return 'failed';
    }
  };

  return {
    async win(signal) {
      while (!signal.aborted) {
        if ((await tryOnce(signal, renewMs)) === 'held') return true;
        // Jitter: two that wait for the same lease should not ask at the same moment.
        await pause(retryMs * (1 + 0.2 * Math.random()), signal);
      }
      return false;
    },
    async keep(signal) {
      while (!signal.aborted) {
        await pause(retryMs, signal);
        if (signal.aborted) break;
        // Measured before asking: a process that was stopped for a while must not find out only by a slow answer.
        const leftMs = (renewedAt ?? 0) + renewMs - performance.now();
        const result = leftMs > 0 ? await tryOnce(signal, leftMs) : 'other';
        if (result === 'held' || signal.aborted) continue;
        if (result === 'failed' && performance.now() < (renewedAt ?? 0) + renewMs) continue;
        if (result === 'other' && leader === holder && leftMs > 0) continue;
        renewedAt = undefined;
        return 'lost';
      }
      return 'ended';
    },
    async release() {
      if (renewedAt === undefined) return;
      renewedAt = undefined;
      const signal = AbortSignal.timeout(releaseMs);
      try {
        const live = await cluster.get(id, signal);
        if (!live || textAt(live, 'spec', 'holderIdentity') !== holder) return;
        const spec = { ...(live.spec as object), holderIdentity: '', leaseDurationSeconds: 1 };
        await cluster.replace({ ...live, spec }, signal);
      } catch (error) {
        failed?.(errorMessage(error));
      }
    },
    get leader() {
      return leader;
    },
    get leading() {
      return renewedAt !== undefined;
    },
  };
}
