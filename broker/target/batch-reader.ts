import { closingRefusal } from '../refusal.ts';
import type { Database } from '../store/database.ts';
import type { AgentTargetState } from './rules.ts';
import { readTargetStates } from './store.ts';

/** Reads target states; calls of the same turn share a statement. */
export interface BatchReader {
  /** Reads the state of an agent; undefined for one that does not exist. */
  read(agentId: string): Promise<AgentTargetState | undefined>;
  /** Notes that agents, or all of them, have changed: reads under way may return the state from before. */
  invalidate(agentIds: readonly string[] | 'all'): void;
  /** Rejects all further reads. */
  close(): void;
}

export interface BatchReaderOptions {
  /** Number of entries that an agent is expected to have; undefined when it is not known. */
  readonly sizeOf: (agentId: string) => number | undefined;
  /** Called with each state that was read; `isCurrent` is false when it changed during the read. */
  readonly onRead: (agentId: string, state: AgentTargetState | undefined, isCurrent: boolean) => void;
  readonly onFailure: (agentIds: readonly string[]) => void;
}

type Waiting = PromiseWithResolvers<AgentTargetState | undefined>;

/** A read under way, and what was invalidated since it began. */
interface Read {
  readonly changedIds: Set<string>;
  allChanged: boolean;
}

export function createBatchReader(db: Database, { sizeOf, onRead, onFailure }: BatchReaderOptions): BatchReader {
  const requested = new Map<string, Waiting>();
  const reads = new Set<Read>();
  let isRunning = false;
  let isClosed = false;

  const run = async () => {
    isRunning = true;
    while (requested.size > 0) {
      // Between two reads the process handles other work.
      await new Promise((resolve) => setImmediate(resolve));
      await readBatch(takeBatch(requested, sizeOf));
    }
    isRunning = false;
  };

  const readBatch = async (batch: ReadonlyMap<string, Waiting>) => {
    const read: Read = { changedIds: new Set(), allChanged: false };
    reads.add(read);
    try {
      const states = await readTargetStates(db, [...batch.keys()]);
      for (const [agentId, waiting] of batch) {
        const state = states.get(agentId);
        onRead(agentId, state, !read.allChanged && !read.changedIds.has(agentId));
        waiting.resolve(state);
      }
    } catch (error) {
      for (const waiting of batch.values()) waiting.reject(error);
      onFailure([...batch.keys()]);
    } finally {
      reads.delete(read);
    }
  };

  return {
    read(agentId) {
      if (isClosed) return Promise.reject(closingRefusal());
      const waiting = requested.get(agentId) ?? Promise.withResolvers<AgentTargetState | undefined>();
      requested.set(agentId, waiting);
      if (!isRunning) void run();
      return waiting.promise;
    },
    invalidate(agentIds) {
      for (const read of reads) noteChange(read, agentIds);
    },
    close() {
      isClosed = true;
    },
  };
}

function noteChange(read: Read, agentIds: readonly string[] | 'all'): void {
  if (agentIds === 'all') read.allChanged = true;
  else for (const agentId of agentIds) read.changedIds.add(agentId);
}

/** Removes the agents of the next read from those that were requested. */
function takeBatch(requested: Map<string, Waiting>, sizeOf: BatchReaderOptions['sizeOf']): Map<string, Waiting> {
  const batch = new Map<string, Waiting>();
  for (const agentId of nextBatch(requested.keys(), sizeOf)) {
    batch.set(agentId, requested.get(agentId) as Waiting);
    requested.delete(agentId);
  }
  return batch;
}

const maxAgentsPerRead = 500;
const maxEntriesPerRead = 20_000;
/** Entries that an agent is expected to have before its first read. */
const defaultSize = 100;

/**
 * Returns the agents of the next read, in order of their requests: at most 500, and about as many entries as one answer should have,
 * but at least one agent.
 */
export function nextBatch(requested: Iterable<string>, sizeOf: (agentId: string) => number | undefined): string[] {
  const batch: string[] = [];
  let entries = 0;
  for (const agentId of requested) {
    entries += sizeOf(agentId) ?? defaultSize;
    if (batch.length > 0 && (batch.length === maxAgentsPerRead || entries > maxEntriesPerRead)) break;
    batch.push(agentId);
  }
  return batch;
}
