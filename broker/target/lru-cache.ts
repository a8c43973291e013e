import type { AgentTargetState } from './rules.ts';

/** Whole target states, as many as fit into a limit of entries; the least recently stored ones are dropped first. */
export interface LruCache {
  get(agentId: string): AgentTargetState | undefined;
  set(state: AgentTargetState): void;
  delete(agentId: string): void;
  clear(): void;
  /** Returns how many entries the agent had when it was last stored; undefined when that is not known. */
  sizeOf(agentId: string): number | undefined;
}

/** An entry takes about half a kilobyte, so this is about 100 MB. */
const defaultMaxEntries = 200_000;
/** Limits the remembered sizes, since agents come and go. */
const maxSizes = 50_000;

export function createLruCache(maxEntries = defaultMaxEntries): LruCache {
  const states = new Map<string, AgentTargetState>();
  const sizes = new Map<string, number>();
  let entries = 0;
  const remove = (agentId: string) => {
    entries -= states.get(agentId)?.entries.length ?? 0;
    states.delete(agentId);
  };
  return {
    get: (agentId) => states.get(agentId),
    set(state) {
      remove(state.agentId);
      states.set(state.agentId, state);
      entries += state.entries.length;
      if (sizes.size >= maxSizes) sizes.clear();
      sizes.set(state.agentId, state.entries.length);
      for (const oldestId of states.keys()) {
        if (entries <= maxEntries) break;
        remove(oldestId);
      }
    },
    delete: remove,
    clear() {
      states.clear();
      entries = 0;
    },
    sizeOf: (agentId) => sizes.get(agentId),
  };
}
