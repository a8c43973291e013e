import type { Change } from '../store/change-reader.ts';
import type { Feed } from '../store/feed.ts';

export interface DiagnosticListener {
  /** A diagnostic was requested or answered. */
  changed(): void;
  /** Notifications may have been missed. */
  missed?(): void;
}

/** Notifies those who wait on this broker: sessions of agents for requests, callers for answers. */
export interface DiagnosticNotifier {
  /** Subscribes to the requests for an agent, or to the answer of a diagnostic, by id. Returns what unsubscribes. */
  subscribe(id: string, listener: DiagnosticListener): () => void;
  close(): void;
}

/** Creates a notifier, which finds the listeners of a change by its id, however many there are. */
export function createDiagnosticNotifier(feed: Feed): DiagnosticNotifier {
  const listenersById = new Map<string, Set<DiagnosticListener>>();
  const close = feed.subscribe({
    changed(changes: readonly Change[]) {
      for (const { kind, ref } of changes)
        if (kind === 'diagnostic') for (const listener of listenersById.get(ref) ?? []) listener.changed();
    },
    reset() {
      for (const listeners of listenersById.values()) for (const listener of listeners) listener.missed?.();
    },
  });
  return {
    subscribe(id, listener) {
      const listeners = listenersById.get(id) ?? new Set();
      listenersById.set(id, listeners.add(listener));
      return () => {
        listeners.delete(listener);
        if (listeners.size === 0 && listenersById.get(id) === listeners) listenersById.delete(id);
      };
    },
    close,
  };
}
