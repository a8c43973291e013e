import { pause } from '../concurrency/backoff.ts';
import { at, type KubeObject, type ObjectId, textAt } from '../object/kube-object.ts';
import { errorMessage, hasStatus } from './api-error.ts';
import type { Cluster } from './cluster.ts';

/** Times of the election; the defaults are those of the Kubernetes components. */
export interface ElectionTimes {
  /** Milliseconds that other processes wait after the last renewal that they observed. */
  readonly leaseMs: number;
  /** Milliseconds without a renewal after which the leader stops; less than `leaseMs`. */
  readonly renewDeadlineMs: number;
  readonly retryMs: number;
}

export interface ElectionOptions {
  readonly cluster: Pick<Cluster, 'get' | 'create' | 'replace'>;
  readonly namespace: string;
  /** Identity of this process, different for each one. */
  readonly holder: string;
  readonly times?: Partial<ElectionTimes>;
  /** Called with the reason after each attempt that failed. */
  readonly onError?: (reason: string) => void;
}

/** Lets one of several processes act, by means of a Lease in the cluster. */
export interface LeaderElection {
  /** Waits until this process leads. Resolves to false when the signal aborts before that. */
  acquire(signal: AbortSignal): Promise<boolean>;
  /**
   * Renews the lease. Resolves to `lost` when it cannot be renewed, while no other process can lead yet, and to `ended` when the signal
   * aborts.
   */
  holdLease(signal: AbortSignal): Promise<'lost' | 'ended'>;
  /** Releases the lease if this process holds it. A lease that cannot be written expires by itself. */
  release(): Promise<void>;
  /** Holder of the lease as this process observed it last; empty for none. */
  readonly leader: string;
  readonly isLeading: boolean;
}

const defaultTimes: ElectionTimes = { leaseMs: 15_000, renewDeadlineMs: 10_000, retryMs: 2_000 };
const releaseMs = 1_000;
const name = 'brokkr-agent';

export function createLeaderElection({ cluster, namespace, holder, times, onError }: ElectionOptions): LeaderElection {
  const { leaseMs, renewDeadlineMs, retryMs } = { ...defaultTimes, ...times };
  const id: ObjectId = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', namespace, name };
  // The clocks of two machines are never compared: what counts is how long ago this process saw the lease change.
  let observed = { spec: '', at: 0 };
  let leader = '';
  let renewedAt: number | undefined;

  const attempt = async (signal: AbortSignal): Promise<'held' | 'other'> => {
    const askedAt = performance.now();
    const live = await cluster.get(id, signal);
    const spec = JSON.stringify(live?.spec ?? {});
    if (spec !== observed.spec) observed = { spec, at: askedAt };
    const current = textAt(live, 'spec', 'holderIdentity') ?? '';
    const isMine = current === holder;
    leader = current;
    const expiresAt = observed.at + 1_000 * Number(at(live, 'spec', 'leaseDurationSeconds') ?? 0);
    if (current !== '' && !isMine && askedAt < expiresAt) return 'other';
    const lease = leaseOf(live, isMine);
    try {
      await (live ? cluster.replace(lease, signal) : cluster.create(lease, signal));
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
  /** Attempts once to get or renew the lease, for at most `timeoutMs`. */
  const tryOnce = async (signal: AbortSignal, timeoutMs: number): Promise<'held' | 'other' | 'failed'> => {
    try {
      return await attempt(AbortSignal.any([signal, AbortSignal.timeout(Math.max(1, Math.round(timeoutMs)))]));
    } catch (error) {
      if (!signal.aborted) onError?.(errorMessage(error));
      return 'failed';
    }
  };

  return {
    async acquire(signal) {
      while (!signal.aborted) {
        if ((await tryOnce(signal, renewDeadlineMs)) === 'held') return true;
        // The jitter keeps two processes that wait for the same lease from asking at the same moment.
        await pause(retryMs * (1 + 0.2 * Math.random()), signal);
      }
      return false;
    },
    async holdLease(signal) {
      while (!signal.aborted) {
        await pause(retryMs, signal);
        if (signal.aborted) break;
        // Checked before asking, so that a process that was suspended does not depend on a slow response to find out.
        const remainingMs = (renewedAt ?? 0) + renewDeadlineMs - performance.now();
        const result = remainingMs > 0 ? await tryOnce(signal, remainingMs) : 'other';
        if (result === 'held' || signal.aborted) continue;
        if (result === 'failed' && performance.now() < (renewedAt ?? 0) + renewDeadlineMs) continue;
        if (result === 'other' && leader === holder && remainingMs > 0) continue;
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
        onError?.(errorMessage(error));
      }
    },
    get leader() {
      return leader;
    },
    get isLeading() {
      return renewedAt !== undefined;
    },
  };
}
