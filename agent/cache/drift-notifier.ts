/** Announces stacks whose objects are not as their last pass left them. */
export interface DriftNotifier {
  /** Notes that an object may have drifted. */
  suspect(stackId: string, key: string): void;
  forget(stackId: string): void;
  close(): void;
}

export interface DriftNotifierOptions {
  /** Milliseconds in which suspicions gather: watches deliver many changes at once, and a pass's own writes before their answers. */
  readonly gatherMs: number;
  /** Shortest time between two announcements of a stack, so that a storm of changes makes few passes and few events. */
  readonly intervalMs: number;
  /** Returns whether the object still differs from what the last pass left. */
  readonly hasDrifted: (stackId: string, key: string) => boolean;
  readonly notify: (stackId: string) => void;
}

interface Suspicion {
  readonly keys: Set<string>;
  timer: NodeJS.Timeout | undefined;
  notifiedAt: number;
}

export function createDriftNotifier({ gatherMs, intervalMs, hasDrifted, notify }: DriftNotifierOptions): DriftNotifier {
  const suspicions = new Map<string, Suspicion>();
  const confirm = (stackId: string, suspicion: Suspicion) => {
    suspicion.timer = undefined;
    const keys = [...suspicion.keys];
    suspicion.keys.clear();
    if (!keys.some((key) => hasDrifted(stackId, key))) return;
    suspicion.notifiedAt = performance.now();
    notify(stackId);
  };
  return {
    suspect(stackId, key) {
      const suspicion = suspicions.get(stackId) ?? {
        keys: new Set(),
        timer: undefined,
        notifiedAt: Number.NEGATIVE_INFINITY,
      };
      suspicions.set(stackId, suspicion);
      suspicion.keys.add(key);
      const waitMs = Math.max(gatherMs, suspicion.notifiedAt + intervalMs - performance.now());
      suspicion.timer ??= setTimeout(confirm, waitMs, stackId, suspicion);
    },
    forget(stackId) {
      clearTimeout(suspicions.get(stackId)?.timer);
      suspicions.delete(stackId);
    },
    close() {
      for (const { timer } of suspicions.values()) clearTimeout(timer);
      suspicions.clear();
    },
  };
}
