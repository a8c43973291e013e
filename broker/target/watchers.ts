import type { Logger } from 'pino';
import type { Summary } from './rules.ts';

/** Called with an agent's state after each read; undefined for an agent that does not exist. */
export type StateListener = (state: Summary | undefined) => void;

/** The listeners that wait for changes of agents' target states. */
export interface Watchers {
  /** Adds a listener; returns what removes it. */
  add(agentId: string, listener: StateListener): () => void;
  has(agentId: string): boolean;
  agentIds(): Iterable<string>;
  notify(agentId: string, state: Summary | undefined): void;
}

export function createWatchers(log: Logger): Watchers {
  const listenersById = new Map<string, Set<StateListener>>();
  return {
    add(agentId, listener) {
      const listeners = listenersById.get(agentId) ?? new Set();
      listenersById.set(agentId, listeners.add(listener));
      return () => {
        listeners.delete(listener);
        if (listeners.size === 0 && listenersById.get(agentId) === listeners) listenersById.delete(agentId);
      };
    },
    has: (agentId) => listenersById.has(agentId),
    agentIds: () => listenersById.keys(),
    notify(agentId, state) {
      for (const listener of listenersById.get(agentId) ?? []) {
        try {
          listener(state);
        } catch (error) {
          log.error({ err: String(error) }, 'a listener for a target state failed');
        }
      }
    },
  };
}
