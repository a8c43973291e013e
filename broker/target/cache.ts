import type { Logger } from 'pino';
import type { Database } from '../store/database.ts';
import type { Feed } from '../store/feed.ts';
import { createBatchReader } from './batch-reader.ts';
import { createInvalidator, createRefresher } from './invalidation.ts';
import type { AgentTargetState, Summary } from './rules.ts';
import { createStateCache } from './state-cache.ts';
import { createWatchers, type StateListener } from './watchers.ts';

/** Target states of agents, cached until the change feed announces a change. */
export interface TargetStates {
  /** Returns the summary of an agent's state, from the cache while it is current; undefined for an agent that does not exist. */
  current(agentId: string): Promise<Summary | undefined>;
  /** Returns the whole state of an agent, which is read again unless it was read a short while ago. */
  full(agentId: string): Promise<AgentTargetState | undefined>;
  /**
   * Waits until the state differs from the one that the agent has, or until a later start of the agent is known, for at most `waitMs` or
   * until the signal aborts; then returns what `current` does.
   */
  changed(agentId: string, known: KnownState, waitMs: number, ended: AbortSignal): Promise<Summary | undefined>;
  /** Calls `listener` after each read of the agent's state, until the returned function is called. */
  watch(agentId: string, listener: StateListener): () => void;
  /** Returns the incarnation that the agent's calls have to carry; 0 for an agent that does not exist. */
  incarnationOf(agentId: string): Promise<bigint>;
  close(): void;
}

/** The state that an agent has. */
interface KnownState {
  readonly digest: Uint8Array;
  readonly incarnation: bigint;
}

/**
 * Creates the cache. It has a summary for each agent, which is all that an idle pull needs, and a limited number of whole states, since
 * an agent does not ask again for what it has received.
 */
export function createTargetStates(db: Database, feed: Feed, log: Logger): TargetStates {
  const cache = createStateCache(feed);
  const watchers = createWatchers(log);
  const reader = createBatchReader(db, {
    sizeOf: cache.sizeOf,
    onRead(agentId, state, isCurrent) {
      if (isCurrent && feed.healthy()) cache.set(agentId, state);
      watchers.notify(agentId, state);
    },
    onFailure: (agentIds) => refresher.retry(agentIds),
  });
  const refresher = createRefresher(reader, watchers);
  const unsubscribe = feed.subscribe(createInvalidator({ db, log, cache, reader, watchers, refresher }));

  const states: TargetStates = {
    current: async (agentId) => cache.summary(agentId) ?? reader.read(agentId),
    full: async (agentId) => cache.full(agentId) ?? reader.read(agentId),
    changed: (agentId, known, waitMs, ended) => waitForDifference(states, agentId, known, { waitMs, ended }),
    watch: watchers.add,
    incarnationOf: async (agentId) => (await states.current(agentId))?.incarnation ?? 0n,
    close() {
      unsubscribe();
      reader.close();
      refresher.close();
    },
  };
  return states;
}

async function waitForDifference(
  states: TargetStates,
  agentId: string,
  known: KnownState,
  { waitMs, ended }: { waitMs: number; ended: AbortSignal },
): Promise<Summary | undefined> {
  const over = Promise.withResolvers<void>();
  const differs = (state: Summary | undefined) =>
    !state?.digest.equals(known.digest) || state.incarnation > known.incarnation;
  // It watches before it reads, so that a change in between is not missed.
  const unwatch = states.watch(agentId, (state) => differs(state) && over.resolve());
  const timer = setTimeout(over.resolve, waitMs);
  const end = () => over.resolve();
  ended.addEventListener('abort', end, { once: true });
  try {
    const current = await states.current(agentId);
    if (differs(current) || ended.aborted) return current;
    await over.promise;
    return await states.current(agentId);
  } finally {
    clearTimeout(timer);
    ended.removeEventListener('abort', end);
    unwatch();
  }
}
