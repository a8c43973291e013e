import type { outcomes } from '../../contract/enum-names.ts';
import { halfOfBigint } from '../numbers.ts';

export type OutcomeName = keyof typeof outcomes;

/** An event as an agent sent it. */
export interface AgentEvent {
  readonly sequence: bigint;
  /** Null for a gap that concerns no stack. */
  readonly stackId: string | null;
  readonly deploymentId: string | null;
  /** SHA-256 of the manifest, in hex; empty for none. */
  readonly checksum: string;
  readonly generation: bigint;
  readonly outcome: OutcomeName;
  readonly message: string;
  /** Keys of the objects whose deletion is held. */
  readonly heldKeys: readonly string[];
  /** The changed objects, in the form in which they are stored and listed. */
  readonly objects: readonly unknown[];
  readonly agentTime: Date | null;
}

/** An event with the receipt that its agent gets for it. */
export type ReceivedEvent = {
  readonly event: AgentEvent;
  /** Number of events before this one that never arrived. */
  readonly lostBefore: bigint;
} & (
  | { readonly receipt: 'accepted' }
  | { readonly receipt: 'duplicate' }
  | { readonly receipt: 'refused'; readonly reason: string }
);

/**
 * Decides on the receipt of each event. A sequence that is not above the last one makes a duplicate, a jump a gap. An event about no
 * stack, or about one that the agent neither serves nor removes, is refused; the agent does not send it again. Refusals do not affect
 * the other events.
 */
export function receiveEvents(
  events: readonly AgentEvent[],
  lastSequence: bigint,
  placedStackIds: ReadonlySet<string>,
): { received: ReceivedEvent[]; lastSequence: bigint } {
  let last = lastSequence;
  const received = events.map((event): ReceivedEvent => {
    if (event.sequence > halfOfBigint)
      return { event, receipt: 'refused', reason: 'sequence is out of range', lostBefore: 0n };
    if (event.sequence <= last) return { event, receipt: 'duplicate', lostBefore: 0n };
    const lostBefore = event.sequence - last - 1n;
    last = event.sequence;
    const reason = refusalReason(event, placedStackIds);
    return reason === undefined
      ? { event, receipt: 'accepted', lostBefore }
      : { event, receipt: 'refused', reason, lostBefore };
  });
  return { received, lastSequence: last };
}

function refusalReason(event: AgentEvent, placedStackIds: ReadonlySet<string>): string | undefined {
  if (event.generation > halfOfBigint) return 'generation is out of range';
  if (event.stackId === null) return event.outcome === 'gap' ? undefined : 'stack_id is missing';
  return placedStackIds.has(event.stackId) ? undefined : 'the agent has no placement of this stack';
}

/** Returns the history to store: the accepted events, and before an event that follows a jump in the sequence a gap. */
export function toHistory(received: readonly ReceivedEvent[]): AgentEvent[] {
  return received.flatMap((item) => {
    const { event, lostBefore, receipt } = item;
    const accepted = receipt === 'accepted' ? [event] : [];
    if (lostBefore === 0n || (receipt === 'accepted' && event.outcome === 'gap')) return accepted;
    return [gapBefore(item), ...accepted];
  });
}

/** Makes the gap that stands for the events lost before this one. Its sequence is that of the last lost event, so that it is unique. */
function gapBefore({ event, lostBefore, receipt }: ReceivedEvent): AgentEvent {
  const lost = lostBefore === 1n ? 'the event before this one was' : `${lostBefore} events before this one were`;
  return {
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
}
