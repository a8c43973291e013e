import type { HandlerContext } from '@connectrpc/connect';
import type { Limits } from '../../config.ts';
import { Refusal } from '../../refusal.ts';
import { createFairQueue } from './queue.ts';

/** Of the submissions that are read at once, so many are one caller's at most. */
const shareOfOne = 0.25;

/** Health and reflection need no key: of their streams, so many may be open in all. */
const streamsWithoutKey = 1_000;

/** Keeps what one caller holds at a time within bounds, before anything of a request's body is read. */
export interface Crowd {
  /** Counts a call until it ends; a submission waits for its turn first. RESOURCE_EXHAUSTED when the caller has too many. */
  enter(caller: string, context: Pick<HandlerContext, 'method' | 'signal'>): Promise<void>;
  /** The same for a call that needs no key: its streams are those of the address that it came from. */
  enterOpen(source: string, context: Pick<HandlerContext, 'method' | 'signal'>): void;
  /** How many submissions wait for their turn. */
  waiting(): number;
}

/** Submissions are the only large requests: so many may be read at once, and the others wait with their bodies unread. */
export function createCrowd(limits: () => Limits): Crowd {
  const ofKeys = new Map<string, number>();
  const ofAddresses = new Map<string, number>();
  let withoutKey = 0;
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
  const openStream = (streams: Map<string, number>, caller: string, of: string, ended: AbortSignal) => {
    const open = (streams.get(caller) ?? 0) + 1;
    const { streamsPerKey } = limits();
    if (open > streamsPerKey) throw tooMany(streamsPerKey, `of this ${of}`);
    streams.set(caller, open);
    onEnd(ended, () => {
      const left = (streams.get(caller) ?? 1) - 1;
      if (left > 0) streams.set(caller, left);
      else streams.delete(caller);
    });
  };
  return {
    waiting: submissions.waiting,
    enterOpen(source, { method, signal }) {
      signal.throwIfAborted();
      if (method.methodKind === 'unary') return;
      if (withoutKey >= streamsWithoutKey) throw tooMany(streamsWithoutKey, 'without a key');
      openStream(ofAddresses, source, 'address', signal);
      withoutKey += 1;
      onEnd(signal, () => {
        withoutKey -= 1;
      });
    },
    async enter(caller, { method, signal }) {
      // One who has left already will not leave again, and would keep the place for good.
      signal.throwIfAborted();
      if (method.methodKind !== 'unary') openStream(ofKeys, caller, 'key', signal);
      if (method.name !== 'SubmitDeployment') return;
      // The place is held until the call has ended, which is when its signal aborts.
      const ended = new Promise<void>((settle) => onEnd(signal, settle));
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

function tooMany(count: number, whose: string): Refusal {
  return new Refusal('resource_exhausted', `${count} streams ${whose} are open`, { reason: 'TOO_MANY_STREAMS' });
}

function onEnd(signal: AbortSignal, ended: () => void): void {
  signal.addEventListener('abort', ended, { once: true });
}
