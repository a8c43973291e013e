import { pause } from '../concurrency/backoff.ts';
import { errorMessage } from './api-error.ts';
import type { Cluster } from './cluster.ts';
import { openLease } from './lease.ts';

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
   * Renews the lease. Resolves to `lost` when it cannot be renewed, while no other process can lead yet, and to `ended` when the
   * signal aborts.
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
const leaseName = 'brokkr-agent';

/** Creates the election of one process; it does not take part before `acquire`. */
export function createLeaderElection({ cluster, namespace, holder, times, onError }: ElectionOptions): LeaderElection {
  const { leaseMs, renewDeadlineMs, retryMs } = { ...defaultTimes, ...times };
  const lease = openLease(cluster, { namespace, name: leaseName, candidate: holder, leaseMs });
  let isLeading = false;
  /** Attempts once to take or renew the lease, for at most `timeoutMs`. */
  const tryOnce = async (signal: AbortSignal, timeoutMs: number): Promise<'held' | 'other' | 'failed'> => {
    const timeout = AbortSignal.timeout(Math.max(1, Math.round(timeoutMs)));
    try {
      const result = await lease.attempt(AbortSignal.any([signal, timeout]));
      if (result === 'held') isLeading = true;
      return result;
    } catch (error) {
      if (!signal.aborted) onError?.(errorMessage(error));
      return 'failed';
    }
  };
  const remainingMs = () => (lease.renewedAt ?? 0) + renewDeadlineMs - performance.now();
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
        const timeoutMs = remainingMs();
        const result = timeoutMs > 0 ? await tryOnce(signal, timeoutMs) : 'other';
        if (result === 'held' || signal.aborted) continue;
        if (result === 'failed' && remainingMs() > 0) continue;
        if (result === 'other' && lease.holder === holder && timeoutMs > 0) continue;
        isLeading = false;
        return 'lost';
      }
      return 'ended';
    },
    async release() {
      if (!isLeading) return;
      isLeading = false;
      try {
        await lease.release(AbortSignal.timeout(releaseMs));
      } catch (error) {
        onError?.(errorMessage(error));
      }
    },
    get leader() {
      return lease.holder;
    },
    get isLeading() {
      return isLeading;
    },
  };
}
