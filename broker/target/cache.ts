import type { Logger } from 'pino';
import { closingRefusal } from '../refusal.ts';
import type { Change } from '../store/change-reader.ts';
import type { Database } from '../store/database.ts';
import type { Feed } from '../store/feed.ts';
import { createIndexes, nextBatch } from './lru-cache.ts';
import type { AgentTargetState, Summary } from './rules.ts';
import { agentsOfStacks, readTargetStates } from './store.ts';

/** What agents are told, remembered until a change of it is seen. */
export interface TargetStates {
  /** The digest of what the agent is told, from memory while that is current. Undefined for an agent that does not exist. */
  current(agentId: string): Promise<Summary | undefined>;
  /** All that the agent is told; read again unless it was read a short while ago. */
  index(agentId: string): Promise<AgentTargetState | undefined>;
  /**
   * Waits until the state is another than the agent has seen, or a later start of it is known, at most `waitMs`, or until the signal
   * aborts; then answers as `current` does.
   */
  changed(
    agentId: string,
    seen: { readonly digest: Uint8Array; readonly incarnation: bigint },
    waitMs: number,
    ended: AbortSignal,
  ): Promise<Summary | undefined>;
  /** Calls `listener` after each read of the agent's state, until the returned function is called. */
  watch(agentId: string, listener: (state: Summary | undefined) => void): () => void;
  /** The number that the agent's calls have to carry; 0 for an agent that does not exist. */
  incarnationOf(agentId: string): Promise<bigint>;
  close(): void;
}

interface Kept {
  readonly summary: Summary;
  readonly staleAt: number;
}

/** A read under way, and what changed since it began: such answers are given, but not kept. */
interface Read {
  readonly agents: Set<string>;
  everything: boolean;
}

type Waiting = PromiseWithResolvers<AgentTargetState | undefined>;

/** Even without a change, an entry is read again after 10 minutes, jittered. */
const keepMs = 10 * 60_000;
/** How soon a read that failed is tried again for those who wait for a change. */
const retryMs = 1_000;

/**
 * Remembers a digest for each agent, and a bounded number of whole states: an idle pull needs no more than the digest, and what an
 * agent has received it does not ask for again.
 */
export function createTargetStates(db: Database, feed: Feed, log: Logger): TargetStates {
  const kept = new Map<string, Kept>();
  const indexes = createIndexes();
  const watchers = new Map<string, Set<(state: Summary | undefined) => void>>();
  const wanted = new Map<string, Waiting>();
  const reads = new Set<Read>();
  const failed = new Set<string>();
  let retry: NodeJS.Timeout | undefined;
  let draining = false;
  let closed = false;

  const isCurrent = (entry: Kept | undefined): entry is Kept =>
    entry !== undefined && feed.healthy() && performance.now() < entry.staleAt;

  /** Joins the next read; all that ask in the same turn share one statement. */
  const load = (agentId: string): Promise<AgentTargetState | undefined> => {
    if (closed) return Promise.reject(closingRefusal());
    const waiting = wanted.get(agentId) ?? Promise.withResolvers<AgentTargetState | undefined>();
    wanted.set(agentId, waiting);
    if (!draining) void drain();
    return waiting.promise;
  };

  const drain = async () => {
    draining = true;
    while (wanted.size > 0) {
      // Between two reads the process answers others.
      await new Promise((resolve) => setImmediate(resolve));
      const batch = nextBatch(wanted.keys(), indexes.sizeOf).map((agentId): [string, Waiting] => {
        const waiting = wanted.get(agentId) as Waiting;
        wanted.delete(agentId);
        return [agentId, waiting];
      });
      await readBatch(batch);
    }
    draining = false;
  };

  const readBatch = async (batch: readonly [string, Waiting][]) => {
    const read: Read = { agents: new Set(), everything: false };
    reads.add(read);
    try {
      const ids = batch.map(([agentId]) => agentId);
      const states = await readTargetStates(db, ids);
      for (const [agentId, waiting] of batch) {
        const state = states.get(agentId);
        if (feed.healthy() && !read.everything && !read.agents.has(agentId)) keep(agentId, state);
        waiting.resolve(state);
        notify(agentId, state);
      }
    } catch (error) {
      for (const [agentId, waiting] of batch) {
        waiting.reject(error);
        if (watchers.has(agentId)) failed.add(agentId);
      }
      if (failed.size > 0 && !closed) retry ??= setTimeout(readFailed, retryMs);
    } finally {
      reads.delete(read);
    }
  };

  /** Whoever waits for a change would miss it with the read that failed. */
  const readFailed = () => {
    retry = undefined;
    const agentIds = [...failed];
    failed.clear();
    for (const agentId of agentIds) reload(agentId);
  };

  const reload = (agentId: string) => {
    if (watchers.has(agentId)) load(agentId).catch(() => {});
  };

  const keep = (agentId: string, state: AgentTargetState | undefined) => {
    if (state === undefined) return forget(agentId);
    const { entries: _, ...summary } = state;
    kept.set(agentId, { summary, staleAt: performance.now() + keepMs * (0.8 + 0.4 * Math.random()) });
    indexes.keep(state);
  };

  const forget = (agentId: string) => {
    kept.delete(agentId);
    indexes.drop(agentId);
  };

  const notify = (agentId: string, state: AgentTargetState | undefined) => {
    for (const listener of watchers.get(agentId) ?? []) {
      try {
        listener(state);
      } catch (error) {
        log.error({ err: String(error) }, 'a listener for a target state failed');
      }
    }
  };

  /** Forgets agents, and reads those again that somebody waits for. */
  const drop = (agentIds: Iterable<string>) => {
    for (const agentId of agentIds) {
      forget(agentId);
      for (const read of reads) read.agents.add(agentId);
      reload(agentId);
    }
  };

  const dropAll = () => {
    for (const read of reads) read.everything = true;
    kept.clear();
    indexes.clear();
    drop(watchers.keys());
  };

  /**
   * A stack's change concerns the agents that have a placement of it; one whose placement is gone was told by its own
   * acknowledgement. Reads under way began before the change, so none of them is kept.
   */
  const dropStacks = (stackIds: readonly string[]) => {
    for (const read of reads) read.everything = true;
    agentsOfStacks(db, stackIds).then(drop, (error: unknown) => {
      log.warn({ err: String(error) }, 'could not read whom a change concerns; forgetting everything');
      dropAll();
    });
  };

  const unsubscribe = feed.subscribe({
    changed(changes: readonly Change[]) {
      if (changes.some((change) => change.kind === 'epoch')) return dropAll();
      drop(new Set(changes.filter((change) => change.kind === 'agent').map((change) => change.ref)));
      const stacks = new Set(changes.filter((change) => change.kind === 'stack').map((change) => change.ref));
      if (stacks.size > 0) dropStacks([...stacks]);
    },
    reset: dropAll,
  });

  const states: TargetStates = {
    async current(agentId) {
      const entry = kept.get(agentId);
      return isCurrent(entry) ? entry.summary : load(agentId);
    },
    async index(agentId) {
      const state = isCurrent(kept.get(agentId)) ? indexes.get(agentId) : undefined;
      return state ?? load(agentId);
    },
    async changed(agentId, seen, waitMs, ended) {
      const over = Promise.withResolvers<void>();
      const differs = (state: Summary | undefined) =>
        !state?.digest.equals(seen.digest) || state.incarnation > seen.incarnation;
      // Subscribe first, then read: a change in between is seen by one of the two.
      const stop = states.watch(agentId, (state) => differs(state) && over.resolve());
      const timer = setTimeout(over.resolve, waitMs);
      const end = () => over.resolve();
      ended.addEventListener('abort', end, { once: true });
      try {
        const now = await states.current(agentId);
        if (differs(now) || ended.aborted) return now;
        await over.promise;
        return await states.current(agentId);
      } finally {
        clearTimeout(timer);
        ended.removeEventListener('abort', end);
        stop();
      }
    },
    watch(agentId, listener) {
      const listeners = watchers.get(agentId) ?? new Set();
      watchers.set(agentId, listeners.add(listener));
      return () => {
        listeners.delete(listener);
        if (listeners.size === 0 && watchers.get(agentId) === listeners) watchers.delete(agentId);
      };
    },
    incarnationOf: async (agentId) => (await states.current(agentId))?.incarnation ?? 0n,
    close() {
      closed = true;
      unsubscribe();
      clearTimeout(retry);
    },
  };
  return states;
}
