import type { AgentTargetState } from './rules.ts';

/** Whole target states, as many as fit into a bound: those read longest ago are forgotten first. */
export interface Indexes {
  get(agentId: string): AgentTargetState | undefined;
  keep(state: AgentTargetState): void;
  drop(agentId: string): void;
  clear(): void;
  /** How many entries the agent had when it was last read; undefined when that is not known. */
  sizeOf(agentId: string): number | undefined;
}

/** An entry takes about half a kilobyte, so this is about 100 MB. */
const maxEntries = 200_000;
/** A number for each agent that was ever read here; agents come and go, so this is bounded too. */
const maxSizes = 50_000;

export function createIndexes(limit = maxEntries): Indexes {
  const states = new Map<string, AgentTargetState>();
  const sizes = new Map<string, number>();
  let entries = 0;
  const drop = (agentId: string) => {
    entries -= states.get(agentId)?.entries.length ?? 0;
    states.delete(agentId);
  };
  return {
    get: (agentId) => states.get(agentId),
    keep(state) {
      drop(state.agentId);
      states.set(state.agentId, state);
      entries += state.entries.length;
      if (sizes.size >= maxSizes) sizes.clear();
      sizes.set(state.agentId, state.entries.length);
      for (const oldest of states.keys()) {
        if (entries <= limit) break;
        drop(oldest);
      }
    },
    drop,
    clear() {
      states.clear();
      entries = 0;
    },
    sizeOf: (agentId) => sizes.get(agentId),
  };
}

const agentsInOneRead = 500;
const entriesInOneRead = 20_000;
/** What an agent that was not read before is taken to have. */
const usualEntries = 100;

/** The agents of the next read, in order of asking: at most 500, and no more entries than one answer should hold (but one agent at least). */
export function nextBatch(waiting: Iterable<string>, sizeOf: (agentId: string) => number | undefined): string[] {
  const batch: string[] = [];
  let entries = 0;
  for (const agentId of waiting) {
    entries += sizeOf(agentId) ?? usualEntries;
    if (batch.length > 0 && (batch.length === agentsInOneRead || entries > entriesInOneRead)) break;
    batch.push(agentId);
  }
  return batch;
}
