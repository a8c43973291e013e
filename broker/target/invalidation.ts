import type { Logger } from 'pino';
import type { Change } from '../store/change-reader.ts';
import type { Database } from '../store/database.ts';
import type { FeedListener } from '../store/feed.ts';
import type { BatchReader } from './batch-reader.ts';
import type { StateCache } from './state-cache.ts';
import { agentsOfStacks } from './store.ts';
import type { Watchers } from './watchers.ts';

/** Reads the states of watched agents again. */
export interface Refresher {
  refresh(agentId: string): void;
  /** Refreshes agents a second later, because their watchers would miss the change that a failed read was for. */
  retry(agentIds: readonly string[]): void;
  close(): void;
}

const retryMs = 1_000;

export function createRefresher(reader: BatchReader, watchers: Watchers): Refresher {
  const failedIds = new Set<string>();
  let timer: NodeJS.Timeout | undefined;
  let isClosed = false;
  const refresh = (agentId: string) => {
    if (watchers.has(agentId)) reader.read(agentId).catch(() => {});
  };
  const refreshFailed = () => {
    timer = undefined;
    const agentIds = [...failedIds];
    failedIds.clear();
    for (const agentId of agentIds) refresh(agentId);
  };
  return {
    refresh,
    retry(agentIds) {
      for (const agentId of agentIds) if (watchers.has(agentId)) failedIds.add(agentId);
      if (failedIds.size > 0 && !isClosed) timer ??= setTimeout(refreshFailed, retryMs);
    },
    close() {
      isClosed = true;
      clearTimeout(timer);
    },
  };
}

export interface InvalidatorDeps {
  readonly db: Database;
  readonly log: Logger;
  readonly cache: StateCache;
  readonly reader: BatchReader;
  readonly watchers: Watchers;
  readonly refresher: Refresher;
}

/** Creates the listener that drops changed states from the cache and refreshes those that are watched. */
export function createInvalidator({ db, log, cache, reader, watchers, refresher }: InvalidatorDeps): FeedListener {
  const drop = (agentIds: Iterable<string>) => {
    const ids = [...agentIds];
    reader.invalidate(ids);
    for (const agentId of ids) {
      cache.delete(agentId);
      refresher.refresh(agentId);
    }
  };
  const dropAll = () => {
    reader.invalidate('all');
    cache.clear();
    drop(watchers.agentIds());
  };
  /**
   * A stack's change concerns the agents that have a placement of it; an agent whose placement is gone was changed by its own
   * acknowledgement. All reads under way are invalidated, because they began before the change.
   */
  const dropStacks = (stackIds: readonly string[]) => {
    reader.invalidate('all');
    agentsOfStacks(db, stackIds).then(drop, (error: unknown) => {
      log.warn({ err: String(error) }, 'could not read which agents a change concerns; the whole cache is dropped');
      dropAll();
    });
  };
  return {
    changed(changes: readonly Change[]) {
      const idsOf = (kind: Change['kind']) => [
        ...new Set(changes.filter((change) => change.kind === kind).map(({ ref }) => ref)),
      ];
      if (changes.some(({ kind }) => kind === 'epoch')) return dropAll();
      drop(idsOf('agent'));
      const stackIds = idsOf('stack');
      if (stackIds.length > 0) dropStacks(stackIds);
    },
    reset: dropAll,
  };
}
