import type { StackEvent } from '../target/stack-event.ts';
import type { Numbered } from './client.ts';
import { fitting, sizeOfEvent } from './events.ts';

/** Events that the broker has not answered yet, oldest first, in bounded memory. */
export interface EventQueue {
  /** Adds an event under the next number. Returns whether another one was dropped to make room. */
  push(event: StackEvent): boolean;
  /** Returns the oldest events, as many as one request takes and at most `most`. */
  batch(most: number): Numbered[];
  /** Removes events that the broker answered, or that are given up. */
  remove(sequences: ReadonlySet<bigint>): void;
  /** Leaves out the fields of an event that is too large. */
  shrink(sequence: bigint): void;
  readonly size: number;
  /** Returns, once, the ids of the stacks whose last state was dropped. */
  takeLost(): string[];
}

/** Requests are limited to 1 MiB. */
const batchBytes = 512 << 10;

export function createEventQueue(capacity: number): EventQueue {
  let queue: Numbered[] = [];
  let sequence = 0n;
  const lost = new Set<string>();
  return {
    push(event) {
      sequence += 1n;
      queue.push({ sequence, event: fitting(event) });
      if (queue.length <= capacity) return false;
      const spare = findSpare(queue);
      const [dropped] = queue.splice(Math.max(0, spare), 1);
      if (spare < 0 && dropped) lost.add(dropped.event.stackId);
      return true;
    },
    batch: (most) => takeBatch(queue, most),
    remove(sequences) {
      queue = queue.filter((numbered) => !sequences.has(numbered.sequence));
    },
    shrink(number) {
      queue = queue.map((numbered) =>
        numbered.sequence === number ? { ...numbered, event: withoutFields(numbered.event) } : numbered,
      );
    },
    get size() {
      return queue.length;
    },
    takeLost() {
      const stackIds = [...lost];
      lost.clear();
      return stackIds;
    },
  };
}

/** Finds the oldest event without which the state of every stack is still known; -1 when there is none. */
function findSpare(queue: readonly Numbered[]): number {
  const latest = new Map(
    queue.flatMap(({ sequence, event }) => (isStanding(event) ? [[event.stackId, sequence] as const] : [])),
  );
  return queue.findIndex(({ sequence, event }) => !isStanding(event) || latest.get(event.stackId) !== sequence);
}

/** Returns whether the event sets the state of its stack at the broker; drift is only recorded there. */
function isStanding({ outcome }: StackEvent): boolean {
  return outcome !== 'drifted' && outcome !== 'repaired';
}

function takeBatch(queue: readonly Numbered[], most: number): Numbered[] {
  const batch: Numbered[] = [];
  let bytes = 0;
  for (const numbered of queue.slice(0, most)) {
    bytes += sizeOfEvent(numbered.event);
    if (batch.length > 0 && bytes > batchBytes) break;
    batch.push(numbered);
  }
  return batch;
}

function withoutFields(event: StackEvent): StackEvent {
  return { ...event, changes: event.changes.map(({ object, action, message }) => ({ object, action, message })) };
}
