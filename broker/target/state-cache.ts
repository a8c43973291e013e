import type { Feed } from '../store/feed.ts';
import { createLruCache } from './lru-cache.ts';
import type { AgentTargetState, Summary } from './rules.ts';

/** The last states that were read: a summary of each agent's, and as many whole states as fit. */
export interface StateCache {
  /** Returns the cached summary; undefined when there is none, or when it may be outdated. */
  summary(agentId: string): Summary | undefined;
  /** Returns the cached state; undefined when there is none, or when it may be outdated. */
  full(agentId: string): AgentTargetState | undefined;
  set(agentId: string, state: AgentTargetState | undefined): void;
  delete(agentId: string): void;
  clear(): void;
  sizeOf(agentId: string): number | undefined;
}

/** Even without a change, a summary expires after 10 minutes, with jitter. */
const lifetimeMs = 10 * 60_000;

export function createStateCache(feed: Feed): StateCache {
  const summaries = new Map<string, { readonly summary: Summary; readonly expiresAt: number }>();
  const states = createLruCache();
  const summary = (agentId: string) => {
    const cached = summaries.get(agentId);
    return cached && feed.healthy() && performance.now() < cached.expiresAt ? cached.summary : undefined;
  };
  const remove = (agentId: string) => {
    summaries.delete(agentId);
    states.delete(agentId);
  };
  return {
    summary,
    full: (agentId) => (summary(agentId) ? states.get(agentId) : undefined),
    set(agentId, state) {
      if (state === undefined) return remove(agentId);
      const { entries: _, ...rest } = state;
      const expiresAt = performance.now() + lifetimeMs * (0.8 + 0.4 * Math.random());
      summaries.set(agentId, { summary: rest, expiresAt });
      states.set(state);
    },
    delete: remove,
    clear() {
      summaries.clear();
      states.clear();
    },
    sizeOf: states.sizeOf,
  };
}
