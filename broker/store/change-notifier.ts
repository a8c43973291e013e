/** Wakes all brokers, so that they read the change feed. */
export interface ChangeNotifier {
  /** Wakes them soon. Changes that come together share a notification. */
  notify(): void;
  /** Sends what is due. */
  close(): Promise<void>;
}

/** Shortest time between two notifications. */
const minIntervalMs = 5;

/**
 * Creates a notifier that sends with `send`. It notifies after the transactions that make changes, not in them: PostgreSQL commits
 * transactions with a NOTIFY one after the other, each with a write to the disk of its own. A notification that is lost, because the
 * process ends, costs the other brokers a second, after which they read anyway.
 */
export function createChangeNotifier(send: () => Promise<unknown>): ChangeNotifier {
  let timer: NodeJS.Timeout | undefined;
  let isSending = false;
  let isDue = false;
  let sentAt = Number.NEGATIVE_INFINITY;

  const sendIfDue = async (): Promise<void> => {
    if (!isDue || isSending || timer) return;
    const waitMs = sentAt + minIntervalMs - performance.now();
    if (waitMs > 0) {
      timer = setTimeout(() => {
        timer = undefined;
        void sendIfDue();
      }, waitMs);
      return;
    }
    isDue = false;
    isSending = true;
    sentAt = performance.now();
    await send().catch(() => {});
    isSending = false;
    void sendIfDue();
  };
  return {
    notify() {
      isDue = true;
      void sendIfDue();
    },
    async close() {
      clearTimeout(timer);
      if (isDue) await send().catch(() => {});
      isDue = false;
    },
  };
}
