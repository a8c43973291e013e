import type { HandlerContext } from '@connectrpc/connect';
import type { Limits } from '../../config.ts';
import { Refusal } from '../../refusal.ts';
import { createFairQueue } from './queue.ts';

/** Maximum share of concurrent submissions per caller. */
const maxCallerShare = 0.25;

/** Maximum number of open streams of the services that need no key (health, reflection), over all callers. */
const maxStreamsWithoutKey = 1_000;

/** Bounds the streams and submissions that a caller has open, before any of a request's body is read. */
export interface ConcurrencyLimiter {
  /**
   * Counts a call until its signal aborts; resolves when the call may start, which a submission waits for. Rejects with
   * `resource_exhausted` when the caller has too many streams open, or too many submissions waiting.
   */
  admit(caller: string, context: Pick<HandlerContext, 'method' | 'signal'>): Promise<void>;
  /** Counts a call that needs no key under the address that it came from; throws as `admit` rejects. */
  admitWithoutKey(source: string, context: Pick<HandlerContext, 'method' | 'signal'>): void;
  /** Returns the number of submissions that wait for their turn. */
  waitingSubmissions(): number;
}

/** Creates the limiter. Submissions are the only large requests: those beyond the limit wait with their bodies unread. */
export function createConcurrencyLimiter(limits: () => Limits): ConcurrencyLimiter {
  const streamsByKey = new Map<string, number>();
  const streamsByAddress = new Map<string, number>();
  let openWithoutKey = 0;
  const submissions = createFairQueue({
    get maxRunning() {
      return limits().submissionsAtOnce;
    },
    get maxRunningPerCaller() {
      return Math.ceil(limits().submissionsAtOnce * maxCallerShare);
    },
    get maxWaitingPerCaller() {
      return limits().callsWaiting;
    },
  });
  const openStream = (streams: Map<string, number>, caller: string, of: string, ended: AbortSignal) => {
    const open = (streams.get(caller) ?? 0) + 1;
    const { streamsPerKey } = limits();
    if (open > streamsPerKey) throw tooManyStreams(streamsPerKey, `of this ${of}`);
    streams.set(caller, open);
    onAbort(ended, () => {
      const left = (streams.get(caller) ?? 1) - 1;
      if (left > 0) streams.set(caller, left);
      else streams.delete(caller);
    });
  };
  return {
    waitingSubmissions: submissions.waiting,
    admitWithoutKey(source, { method, signal }) {
      signal.throwIfAborted();
      if (method.methodKind === 'unary') return;
      if (openWithoutKey >= maxStreamsWithoutKey) throw tooManyStreams(maxStreamsWithoutKey, 'without a key');
      openStream(streamsByAddress, source, 'address', signal);
      openWithoutKey += 1;
      onAbort(signal, () => {
        openWithoutKey -= 1;
      });
    },
    async admit(caller, { method, signal }) {
      // The signal of a client that has left does not abort again: its place would never be freed.
      signal.throwIfAborted();
      if (method.methodKind !== 'unary') openStream(streamsByKey, caller, 'key', signal);
      if (method.name !== 'SubmitDeployment') return;
      // The submission keeps its place until the call ends, which aborts its signal.
      const ended = new Promise<void>((settle) => onAbort(signal, settle));
      await new Promise<void>((enter, refuse) => {
        submissions
          .run(caller, 'single', signal, async () => {
            enter();
            await ended;
          })
          .catch(refuse);
      });
    },
  };
}

function tooManyStreams(count: number, whose: string): Refusal {
  return new Refusal('resource_exhausted', `${count} streams ${whose} are open`, { reason: 'TOO_MANY_STREAMS' });
}

function onAbort(signal: AbortSignal, ended: () => void): void {
  signal.addEventListener('abort', ended, { once: true });
}
