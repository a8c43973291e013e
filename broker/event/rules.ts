import type { outcomes } from '../../contract/enum-names.ts';
import { halfOfBigint } from '../numbers.ts';

export type OutcomeName = keyof typeof outcomes;

/** An event as an agent sent it, in the database's words. */
export interface Reported {
  readonly sequence: bigint;
  /** Null for a gap that concerns no stack. */
  readonly stackId: string | null;
  readonly deploymentId: string | null;
  /** Hex; empty for none. */
  readonly checksum: string;
  readonly generation: bigint;
  readonly outcome: OutcomeName;
  readonly message: string;
  /** Of the objects whose deletion is held back. */
  readonly heldKeys: readonly string[];
  /** Objects as they are stored and shown again. */
  readonly objects: readonly unknown[];
  readonly agentTime: Date | null;
}

export type Sorted = {
  readonly event: Reported;
  /** How many events before this one were never seen. */
  readonly lostBefore: bigint;
} & (
  | { readonly receipt: 'accepted' }
  | { readonly receipt: 'duplicate' }
  | { readonly receipt: 'refused'; readonly reason: string }
);

/**
 * Decides about each event by its sequence: not above the last one is a duplicate, a jump is a gap. An event that is about nothing,
 * or about a stack that the agent neither serves nor removes, is refused, never retried; it does not hinder the others.
 */
export function sortEvents(
  events: readonly Reported[],
  lastSequence: bigint,
  placed: ReadonlySet<string>,
): { sorted: Sorted[]; lastSequence: bigint } {
  let last = lastSequence;
  const sorted = events.map((event): Sorted => {
    if (event.sequence > halfOfBigint)
      return { event, receipt: 'refused', reason: 'sequence is out of range', lostBefore: 0n };
    if (event.sequence <= last) return { event, receipt: 'duplicate', lostBefore: 0n };
    const lostBefore = event.sequence - last - 1n;
    last = event.sequence;
    const reason = whyRefused(event, placed);
    return reason === undefined
      ? { event, receipt: 'accepted', lostBefore }
      : { event, receipt: 'refused', reason, lostBefore };
  });
  return { sorted, lastSequence: last };
}

function whyRefused(event: Reported, placed: ReadonlySet<string>): string | undefined {
  if (event.generation > halfOfBigint) return 'generation is out of range';
  if (event.stackId === null) return event.outcome === 'gap' ? undefined : 'stack_id is missing';
  return placed.has(event.stackId) ? undefined : 'the agent has no placement of this stack';
}

/** What is stored: accepted events, and each jump in the sequence as a gap just before the event that showed it. */
export function toStore(sorted: readonly Sorted[]): Reported[] {
  return sorted.flatMap((item) => {
    const { event, lostBefore, receipt } = item;
    const kept = receipt === 'accepted' ? [event] : [];
    if (lostBefore === 0n || (receipt === 'accepted' && event.outcome === 'gap')) return kept;
    // The sequence is the last lost one's, so that ids stay unique. What was lost may have been about any stack.
    const lost = lostBefore === 1n ? 'the event before this one was' : `${lostBefore} events before this one were`;
    const gap: Reported = {
      sequence: event.sequence - 1n,
      stackId: receipt === 'accepted' ? event.stackId : null,
      deploymentId: null,
      checksum: '',
      generation: 0n,
      outcome: 'gap',
      message: `${lost} lost`,
      heldKeys: [],
      objects: [],
      agentTime: null,
    };
    return [gap, ...kept];
  });
}
