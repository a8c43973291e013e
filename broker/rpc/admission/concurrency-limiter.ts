import type { HandlerContext } from '@connectrpc/connect';
import type { Limits } from '../../config.ts';
import { Refusal } from '../../refusal.ts';
import { createFairQueue } from './queue.ts';

/** Of the submissions that are read at once, so many are one caller's at most. */
const maxCallerShare = 0.25;

/** Health and reflection need no key: of their streams, so many may be open in all. */
const maxStreamsWithoutKey = 1_000;

/** Keeps what one caller holds at a time within bounds, before anything of a request's body is read. */
export interface ConcurrencyLimiter {
  /** Counts a call until it ends; a submission waits for its turn first. RESOURCE_EXHAUSTED when the caller has too many. */
  admit(caller: string, context: Pick<HandlerContext, 'method' | 'signal'>): Promise<void>;
  /** The same for a call that needs no key: its streams are those of the address that it came from. */
  admitWithoutKey(source: string, context: Pick<HandlerContext, 'method' | 'signal'>): void;
  /** How many submissions wait for their turn. */
  waitingSubmissions(): number;
}

/** Submissions are the only large requests: so many may be read at once, and the others wait with their bodies unread. */
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
      // One who has left already will not leave again, and would keep the place for good.
      signal.throwIfAborted();
      if (method.methodKind !== 'unary') openStream(streamsByKey, caller, 'key', signal);
      if (method.name !== 'SubmitDeployment') return;
      // The place is held until the call has ended, which is when its signal aborts.
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
  return new Refusal('exhausted', `${count} streams ${whose} are open`, { reason: 'TOO_MANY_STREAMS' });
}

function onAbort(signal: AbortSignal, ended: () => void): void {
  signal.addEventListener('abort', ended, { once: true });
}
