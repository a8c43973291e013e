import type { HandlerContext } from '@connectrpc/connect';
import { Refusal } from '../refusal.ts';
import { createFairQueue } from './queue.ts';

const streamsOfOne = 100;
/** Submissions are the only large requests: so many may be read at once, and the others wait with their bodies unread. */
const submissionsAtOnce = 16;
const submissionsOfOne = 4;
const submissionsWaiting = 500;

/** Keeps what one caller holds at a time within bounds, before anything of a request's body is read. */
export interface Crowd {
  /** Counts a call until it ends; a submission waits for its turn first. RESOURCE_EXHAUSTED when the caller has too many. */
  enter(caller: string, context: Pick<HandlerContext, 'method' | 'signal'>): Promise<void>;
}

export function createCrowd(): Crowd {
  const streams = new Map<string, number>();
  const submissions = createFairQueue({
    width: submissionsAtOnce,
    callerWidth: submissionsOfOne,
    depth: submissionsWaiting,
  });
  const openStream = (caller: string, ended: AbortSignal) => {
    const open = (streams.get(caller) ?? 0) + 1;
    if (open > streamsOfOne) {
      throw new Refusal('exhausted', `${streamsOfOne} streams of this key are open`, { reason: 'TOO_MANY_STREAMS' });
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
    async enter(caller, { method, signal }) {
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
