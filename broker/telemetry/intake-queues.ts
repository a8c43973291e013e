import { createWakeup } from '../store/wait.ts';
import { type AgentQueue, createAgentQueue, type WaitingBatch } from './agent-queue.ts';
import type { Quota } from './quota.ts';
import type { Batch } from './rules.ts';

/** The batches of all agents that wait to be written. */
export interface IntakeQueues {
  /** Adds a batch; returns how many of its items were over the quota, and settles `room` when the agent may send more. */
  add(batch: Batch, received: () => void): { readonly dropped: number; readonly room: Promise<void> };
  /** Returns the batches to write together: the first of each agent, then the second of each, up to a limit. */
  next(): readonly WaitingBatch[];
  /** Removes batches that `next` returned, after they were written, and acknowledges them. */
  remove(batches: readonly WaitingBatch[]): void;
  isEmpty(): boolean;
  /** Settles when a batch is added after the last call of `next`. */
  added(): Promise<void>;
  close(): void;
}

/** Share of the waiting bytes that one agent may take. */
const maxAgentShare = 1 / 16;
const maxWriteItems = 2_000;
const maxWriteBytes = 4 << 20;

export function createIntakeQueues(quota: Quota, maxBytes: number): IntakeQueues {
  const queues = new Map<string, AgentQueue>();
  /** The queues with waiting batches; the one that was written longest ago comes first. */
  const ready = new Set<AgentQueue>();
  let bytes = 0;
  let isClosed = false;
  const addition = createWakeup();
  const removal = createWakeup();

  const queueOf = (agentId: string): AgentQueue => {
    const queue = queues.get(agentId) ?? createAgentQueue(quota, (added) => enqueued(queue, added));
    queues.set(agentId, queue);
    return queue;
  };
  const enqueued = (queue: AgentQueue, added: number) => {
    bytes += added;
    ready.add(queue);
    addition.wake();
  };
  const roomFor = async (queue: AgentQueue) => {
    const isFull = () => queue.bytes > maxBytes * maxAgentShare || bytes > maxBytes;
    while (isFull() && !isClosed) await removal.woken();
  };

  return {
    add(batch, received) {
      const queue = queueOf(batch.agentId);
      return { dropped: queue.add(batch, received), room: roomFor(queue) };
    },
    next() {
      addition.reset();
      return nextBatches([...ready]);
    },
    remove(batches) {
      for (const batch of batches) {
        removeFirst(queueOf(batch.agentId), ready);
        bytes -= batch.bytes;
        batch.received();
      }
      removal.wake();
      removal.reset();
    },
    isEmpty: () => ready.size === 0,
    added: addition.woken,
    close() {
      isClosed = true;
      removal.wake();
      for (const queue of queues.values()) queue.close();
    },
  };
}

/** Removes the first batch of a queue, whose next turn comes after those of the other queues. */
function removeFirst(queue: AgentQueue, ready: Set<AgentQueue>): void {
  queue.shift();
  ready.delete(queue);
  if (queue.waiting.length > 0) ready.add(queue);
}

function nextBatches(queues: readonly AgentQueue[]): WaitingBatch[] {
  const batches: WaitingBatch[] = [];
  let items = 0;
  let bytes = 0;
  for (let round = 0; ; round += 1) {
    const candidates = queues.flatMap(({ waiting }) => waiting[round] ?? []);
    if (candidates.length === 0) return batches;
    for (const batch of candidates) {
      items += batch.items.length;
      bytes += batch.bytes;
      if (batches.length > 0 && (items > maxWriteItems || bytes > maxWriteBytes)) return batches;
      batches.push(batch);
    }
  }
}
