import { randomUUID } from 'node:crypto';
import { createKinds, type Kinds } from './kinds.ts';
import type { KubeObject } from './object.ts';
import { StatusError } from './status.ts';
import { createStore, type Store } from './store.ts';

/** State that all parts of one simulated cluster share. */
export interface Core {
  readonly store: Store;
  readonly kinds: Kinds;
  /** Schemas of custom resources, by apiVersion/plural. */
  readonly schemas: Map<string, KubeObject['spec']>;
  /** Runs something after a delay, unless the cluster stops before. */
  schedule(delayMs: number, run: () => void): void;
  stop(): void;
}

export function createCore(historySize: number): Core {
  const timers = new Set<NodeJS.Timeout>();
  let stopped = false;
  return {
    store: createStore(historySize),
    kinds: createKinds(),
    schemas: new Map(),
    schedule: (delayMs, run) => {
      if (stopped) return;
      const timer = setTimeout(() => {
        timers.delete(timer);
        try {
          run();
        } catch (error) {
          // A refused write of a controller, for example in a namespace that has ended meanwhile, is not an error.
          if (!(error instanceof StatusError)) throw error;
        }
      }, delayMs);
      timers.add(timer);
    },
    stop: () => {
      stopped = true;
      for (const timer of timers) clearTimeout(timer);
      timers.clear();
    },
  };
}

/** Returns the current time as Kubernetes writes it, in whole seconds. */
export function timestamp(): string {
  return `${new Date().toISOString().slice(0, 19)}Z`;
}

export const newUid = (): string => randomUUID();
