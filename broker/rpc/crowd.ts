import type { HandlerContext } from '@connectrpc/connect';
import type { Limits } from '../config.ts';
import { Refusal } from '../refusal.ts';
import { createFairQueue } from './queue.ts';

/** Of the submissions that are read at once, so many are one caller's at most. */
const shareOfOne = 0.25;

/** Keeps what one caller holds at a time within bounds, before anything of a request's body is read. */
export interface Crowd {
  /** Counts a call until it ends; a submission waits for its turn first. RESOURCE_EXHAUSTED when the caller has too many. */
  enter(caller: string, context: Pick<HandlerContext, 'method' | 'signal'>): Promise<void>;
  /** How many submissions wait for their turn. */
  waiting(): number;
}

/** Submissions are the only large requests: so many may be read at once, and the others wait with their bodies unread. */
export function createCrowd(limits: () => Limits): Crowd {
  const streams = new Map<string, number>();
  const submissions = createFairQueue({
    get width() {
      return limits().submissionsAtOnce;
    },
    get callerWidth() {
      return Math.ceil(limits().submissionsAtOnce * shareOfOne);
    },
    get depth() {
      return limits().callsWaiting;
    },
  });
  const openStream = (caller: string, ended: AbortSignal) => {
    const open = (streams.get(caller) ?? 0) + 1;
    const { streamsPerKey } = limits();
    if (open > streamsPerKey) {
      throw new Refusal('exhausted', `${streamsPerKey} streams of this key are open`, { reason: 'TOO_MANY_STREAMS' });
    }
    streams.set(caller, open);
    ended.addEventListener(
      'abort',
      () => {
        const left = (streams.get(caller) ?? 1) - 1;
        if (left > 0) streams.set(caller, left);
        else streams.delete(caller);
      },
      { once: true },
    );
  };
  return {
    waiting: submissions.waiting,
    async enter(caller, { method, signal }) {
      // One who has left already will not leave again, and would keep the place for good.
      signal.throwIfAborted();
      if (method.methodKind !== 'unary') openStream(caller, signal);
      if (method.name !== 'SubmitDeployment') return;
      // The place is held until the call has ended, which is when its signal aborts.
      const ended = new Promise<void>((settle) => signal.addEventListener('abort', () => settle(), { once: true }));
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
