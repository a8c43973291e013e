import type { DescMethod } from '@bufbuild/protobuf';
import type { Limits } from '../../config.ts';
import { Refusal } from '../../refusal.ts';
import { type EndingCall, type Lifetime, lifetimeOf } from '../lifetime.ts';
import { createFairQueue, type FairQueue } from './queue.ts';

/** Maximum share of concurrent large calls per caller. */
const maxCallerShare = 0.25;

/** Maximum number of open streams of the services that need no key (health, reflection), over all callers. */
const maxStreamsWithoutKey = 1_000;

/** The part of a call that the limiter reads. */
export interface AdmittedCall extends EndingCall {
  readonly method: DescMethod;
}

/** Bounds the streams and large calls that a caller has open, before any of a request's body is read. */
export interface ConcurrencyLimiter {
  /**
   * Counts a call until it ends. A large call gets a promise that resolves at its turn; other calls start at once. Throws or rejects
   * with `resource_exhausted` when the caller has too many streams open, or too many large calls waiting.
   */
  admit(caller: string, call: AdmittedCall): Promise<void> | undefined;
  /** Counts a call that needs no key under the address that it came from; throws as `admit` does. */
  admitWithoutKey(source: string, call: AdmittedCall): void;
  /** Returns the number of submissions that wait for their turn. */
  waitingSubmissions(): number;
}

/**
 * Creates the limiter. Submissions beyond the limit wait with their bodies unread; a response with a manifest keeps its place until the
 * client has received it. Reads have turns of their own, so that they do not hold up submissions.
 */
export function createConcurrencyLimiter(limits: () => Limits): ConcurrencyLimiter {
  const streamsByKey = new Map<string, number>();
  const streamsByAddress = new Map<string, number>();
  let openWithoutKey = 0;
  const submissions = createTurns(limits);
  const reads = createTurns(limits);
  const openStream = (streams: Map<string, number>, caller: string, of: string, lifetime: Lifetime) => {
    const open = (streams.get(caller) ?? 0) + 1;
    const { streamsPerKey } = limits();
    if (open > streamsPerKey) throw tooManyStreams(streamsPerKey, `of this ${of}`);
    streams.set(caller, open);
    lifetime.onEnd(() => {
      const left = (streams.get(caller) ?? 1) - 1;
      if (left > 0) streams.set(caller, left);
      else streams.delete(caller);
    });
  };
  const takeTurn = async (queue: FairQueue, caller: string, lifetime: Lifetime) => {
    const ended = new Promise<void>((settle) => lifetime.onEnd(settle));
    await new Promise<void>((enter, refuse) => {
      queue
        .run(caller, 'single', lifetime, async () => {
          enter();
          // The call keeps its place until it ends.
          await ended;
        })
        .catch(refuse);
    });
  };
  return {
    waitingSubmissions: submissions.waiting,
    admitWithoutKey(source, call) {
      if (call.method.methodKind === 'unary') return;
      const lifetime = lifetimeOf(call);
      if (lifetime.ended) lifetime.signal.throwIfAborted();
      if (openWithoutKey >= maxStreamsWithoutKey) throw tooManyStreams(maxStreamsWithoutKey, 'without a key');
      openStream(streamsByAddress, source, 'address', lifetime);
      openWithoutKey += 1;
      lifetime.onEnd(() => {
        openWithoutKey -= 1;
      });
    },
    admit(caller, call) {
      const lifetime = lifetimeOf(call);
      // An ended call does not end again, so its place would never be freed.
      if (lifetime.ended) lifetime.signal.throwIfAborted();
      if (call.method.methodKind !== 'unary') openStream(streamsByKey, caller, 'key', lifetime);
      switch (call.method.name) {
        case 'SubmitDeployment':
          return takeTurn(submissions, caller, lifetime);
        case 'GetDeployment':
          return takeTurn(reads, caller, lifetime);
        default:
          return undefined;
      }
    },
  };
}

/** Creates a queue for the calls whose requests or responses hold whole manifests. */
function createTurns(limits: () => Limits): FairQueue {
  return createFairQueue({
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
}

function tooManyStreams(count: number, whose: string): Refusal {
  return new Refusal('resource_exhausted', `${count} streams ${whose} are open`, { reason: 'TOO_MANY_STREAMS' });
}
