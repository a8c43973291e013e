import type { Change } from '../store/change-reader.ts';
import type { Feed } from '../store/feed.ts';

export interface NewsListener {
  /** Something happened to what is followed. */
  changed(): void;
  /** Something may have happened unseen. */
  missed?(): void;
}

/** Who waits for diagnostics on this broker: agents for questions, callers for answers. */
export interface DiagnosticNews {
  /** Follows an agent's questions or a diagnostic's answer, by id, until the returned function is called. */
  follow(id: string, listener: NewsListener): () => void;
  close(): void;
}

/** One look at each change of the feed, however many agents have a session here. */
export function createDiagnosticNews(feed: Feed): DiagnosticNews {
  const followers = new Map<string, Set<NewsListener>>();
  const close = feed.subscribe({
    changed(changes: readonly Change[]) {
      for (const { kind, ref } of changes)
        if (kind === 'diagnostic') for (const listener of followers.get(ref) ?? []) listener.changed();
    },
    reset() {
      for (const listeners of followers.values()) for (const listener of listeners) listener.missed?.();
    },
  });
  return {
    follow(id, listener) {
      const listeners = followers.get(id) ?? new Set();
      followers.set(id, listeners.add(listener));
      return () => {
        listeners.delete(listener);
        if (listeners.size === 0 && followers.get(id) === listeners) followers.delete(id);
      };
    },
    close,
  };
}
