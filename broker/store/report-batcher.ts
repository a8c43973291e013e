import type { Database } from './database.ts';

/** Notifies all brokers of reports about stacks. */
export interface ReportBatcher {
  add(stackId: string): void;
  close(): void;
}

const intervalMs = 200;
/** After a quiet time the first report is sent almost at once, because a caller may be waiting for just that one. */
const firstDelayMs = 10;
/** A NOTIFY payload has at most 8,000 bytes. */
const maxIds = 200;

/** Creates a batcher that sends the ids of stacks over a channel, at most one message in 200 ms; "*" stands for more than 200 stacks. */
export function createReportBatcher(db: Database, channel: string): ReportBatcher {
  const stackIds = new Set<string>();
  let timer: NodeJS.Timeout | undefined;
  let sentAt = 0;
  const send = () => {
    timer = undefined;
    sentAt = Date.now();
    const payload = stackIds.size > maxIds ? '*' : [...stackIds].join(',');
    stackIds.clear();
    db.read('feed-report', 'select pg_notify($1, $2)', [channel, payload]).catch(() => {});
  };
  return {
    add(stackId) {
      if (stackIds.size <= maxIds) stackIds.add(stackId);
      timer ??= setTimeout(send, Math.max(firstDelayMs, sentAt + intervalMs - Date.now()));
    },
    close: () => clearTimeout(timer),
  };
}

/** Returns the ids in a payload; "*" stands for many stacks. */
export function parseReport(payload: string): readonly string[] | '*' {
  return payload === '*' ? '*' : payload.split(',');
}
