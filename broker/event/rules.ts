export type OutcomeName = 'applied' | 'failed' | 'removed' | 'removal_failed' | 'held' | 'ahead' | 'gap';

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
  /** Objects as they are stored and shown again. */
  readonly objects: readonly unknown[];
  readonly agentTime: Date | null;
}

export type Sorted =
  | { readonly event: Reported; readonly receipt: 'accepted'; readonly lostBefore: bigint }
  | { readonly event: Reported; readonly receipt: 'duplicate' }
  | { readonly event: Reported; readonly receipt: 'refused'; readonly reason: string };

/**
 * Decides about each event by its sequence: not above the last one is a duplicate, a jump is a gap. An event about a stack that the
 * agent neither serves nor removes is refused, never retried; it does not hinder the others.
 */
export function sortEvents(
  events: readonly Reported[],
  lastSequence: bigint,
  placed: ReadonlySet<string>,
): { sorted: Sorted[]; lastSequence: bigint } {
  let last = lastSequence;
  const sorted = events.map((event): Sorted => {
    if (event.sequence <= last) return { event, receipt: 'duplicate' };
    const lostBefore = event.sequence - last - 1n;
    last = event.sequence;
    if (event.stackId === null && event.outcome !== 'gap')
      return { event, receipt: 'refused', reason: 'stack_id is missing' };
    if (event.stackId !== null && !placed.has(event.stackId))
      return { event, receipt: 'refused', reason: 'the agent has no placement of this stack' };
    return { event, receipt: 'accepted', lostBefore };
  });
  return { sorted, lastSequence: last };
}
