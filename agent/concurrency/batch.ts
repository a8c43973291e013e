/** Gathers keys for a while and hands them on together, each once. */
export interface Batch {
  add(key: string): void;
  /** Drops what was gathered, and ignores further keys. */
  close(): void;
}

/** `flush` is called `delayMs` after the first key of each batch. */
export function createBatch(delayMs: number, flush: (keys: readonly string[]) => void): Batch {
  const keys = new Set<string>();
  let timer: NodeJS.Timeout | undefined;
  let isClosed = false;
  return {
    add(key) {
      if (isClosed) return;
      keys.add(key);
      timer ??= setTimeout(() => {
        timer = undefined;
        const batch = [...keys];
        keys.clear();
        flush(batch);
      }, delayMs);
    },
    close() {
      isClosed = true;
      clearTimeout(timer);
      keys.clear();
    },
  };
}
