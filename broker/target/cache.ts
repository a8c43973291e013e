import type { Logger } from 'pino';
import type { Change, Feed } from '../store/feed.ts';
import type { Database } from '../store/orm.ts';
import type { TargetState } from './rules.ts';
import { agentsOfStacks, readTargetStates } from './store.ts';

/** What agents are told, remembered until a change of it is seen. */
export interface TargetStates {
  /** The agent's state, from memory while that is current. Undefined for an agent that does not exist. */
  current(agentId: string): Promise<TargetState | undefined>;
  /** Waits until the state's digest differs from `digest`, at most `waitMs`; then answers as `current` does. Rejects when `signal` aborts. */
  changed(agentId: string, digest: Uint8Array, waitMs: number, signal: AbortSignal): Promise<TargetState | undefined>;
  /** Calls `listener` with each new state of the agent, until the returned function is called. */
  watch(agentId: string, listener: (state: TargetState | undefined) => void): () => void;
  /** The number that the agent's calls have to carry; 0 for an agent that does not exist. */
  incarnationOf(agentId: string): Promise<bigint>;
  close(): void;
}

interface Kept {
  readonly state: TargetState | undefined;
  readonly staleAt: number;
}

/** A read under way, and what changed since it began: such answers are given, but not kept. */
interface Read {
  readonly agents: Set<string>;
  everything: boolean;
}

const agentsInOneRead = 500;
/** Even without a change, an entry is read again after 10 minutes, jittered. */
const keepMs = 10 * 60_000;

export function createTargetStates(db: Database, feed: Feed, log: Logger): TargetStates {
  const kept = new Map<string, Kept>();
  const watchers = new Map<string, Set<(state: TargetState | undefined) => void>>();
  const wanted = new Map<string, PromiseWithResolvers<TargetState | undefined>>();
  const reads = new Set<Read>();
  let draining = false;

  const isCurrent = (entry: Kept | undefined): entry is Kept =>
    entry !== undefined && feed.healthy() && Date.now() < entry.staleAt;

  /** Joins the next read; all that ask in the same turn share one statement. */
  const load = (agentId: string): Promise<TargetState | undefined> => {
    const waiting = wanted.get(agentId) ?? Promise.withResolvers<TargetState | undefined>();
    wanted.set(agentId, waiting);
    if (!draining) void drain();
    return waiting.promise;
  };

  const drain = async () => {
    draining = true;
    await new Promise((resolve) => setImmediate(resolve));
    while (wanted.size > 0) {
      const batch = [...wanted].slice(0, agentsInOneRead);
      for (const [agentId] of batch) wanted.delete(agentId);
      await readBatch(batch);
    }
    draining = false;
  };

  const readBatch = async (batch: [string, PromiseWithResolvers<TargetState | undefined>][]) => {
    const read: Read = { agents: new Set(), everything: false };
    reads.add(read);
    try {
      const states = await readTargetStates(
        db,
        batch.map(([agentId]) => agentId),
      );
      for (const [agentId, waiting] of batch) {
        const state = states.get(agentId);
        if (feed.healthy() && !read.everything && !read.agents.has(agentId)) keep(agentId, state);
        waiting.resolve(state);
        for (const listener of watchers.get(agentId) ?? []) listener(state);
      }
    } catch (error) {
      for (const [, waiting] of batch) waiting.reject(error);
    } finally {
      reads.delete(read);
    }
  };

  const keep = (agentId: string, state: TargetState | undefined) => {
    if (state === undefined) kept.delete(agentId);
    else kept.set(agentId, { state, staleAt: Date.now() + keepMs * (0.8 + 0.4 * Math.random()) });
  };

  /** Forgets agents, and reads those again that somebody waits for. */
  const drop = (agentIds: Iterable<string>) => {
    for (const agentId of agentIds) {
      kept.delete(agentId);
      for (const read of reads) read.agents.add(agentId);
      if (watchers.has(agentId)) load(agentId).catch(() => {});
    }
  };

  const dropAll = () => {
    for (const read of reads) read.everything = true;
    kept.clear();
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
      drop(changes.filter((change) => change.kind === 'agent').map((change) => change.ref));
      const stacks = changes.filter((change) => change.kind === 'stack').map((change) => change.ref);
      if (stacks.length > 0) dropStacks(stacks);
    },
    reset: dropAll,
  });

  const states: TargetStates = {
    async current(agentId) {
      const entry = kept.get(agentId);
      return isCurrent(entry) ? entry.state : load(agentId);
    },
    async changed(agentId, digest, waitMs, signal) {
      const next = Promise.withResolvers<TargetState | undefined>();
      const differs = (state: TargetState | undefined) => !state?.digest.equals(digest);
      // Subscribe first, then read: a change in between is seen by one of the two.
      const stop = states.watch(agentId, (state) => differs(state) && next.resolve(state));
      const abort = () => next.reject(signal.reason);
      signal.addEventListener('abort', abort, { once: true });
      const timer = setTimeout(() => next.resolve(undefined), waitMs);
      try {
        signal.throwIfAborted();
        const now = await states.current(agentId);
        if (differs(now)) return now;
        return (await next.promise) ?? (await states.current(agentId));
      } finally {
        clearTimeout(timer);
        signal.removeEventListener('abort', abort);
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
      unsubscribe();
      for (const waiting of wanted.values()) waiting.resolve(undefined);
      wanted.clear();
    },
  };
  return states;
}
