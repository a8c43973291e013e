import type { Refusal } from '../refusal.ts';
import type { Database } from '../store/database.ts';
import { createWakeup } from '../store/wait.ts';
import { type RecordedReport, recordTogether } from './record.ts';
import type { Report } from './report-store.ts';

/** Records the reports of many agents in few transactions. */
export interface ReportGroups {
  /**
   * Records a report together with all others that wait at the same time. It resolves once they are committed: with what became of this
   * one, or with undefined when it has to be recorded by itself. It never rejects, because an error of the group concerns nobody.
   */
  record(report: Report): Promise<RecordedReport | Refusal | undefined>;
  close(): Promise<void>;
}

interface Waiting {
  readonly report: Report;
  readonly settle: (result: RecordedReport | Refusal | undefined) => void;
}

/** While one group is being committed, the next one can be sent. */
const groupsAtOnce = 2;
/** Bounds the time that a report waits for the others in its group. */
const maxEvents = 2_000;

/** Creates the groups: a report that finds nothing before it is recorded at once, and those that come meanwhile form the next group. */
export function createReportGroups(db: Database): ReportGroups {
  let waiting: Waiting[] = [];
  let isClosed = false;
  const wakeup = createWakeup();

  const takeGroup = () => {
    let events = 0;
    const end = waiting.findIndex(({ report }, position) => {
      events += report.events.length;
      return position > 0 && events > maxEvents;
    });
    const group = end < 0 ? waiting : waiting.slice(0, end);
    waiting = end < 0 ? [] : waiting.slice(end);
    if (waiting.length === 0) wakeup.reset();
    return group;
  };
  const recordGroups = async () => {
    while (!isClosed || waiting.length > 0) {
      if (waiting.length === 0) await wakeup.woken();
      const group = takeGroup();
      if (group.length === 0) continue;
      const reports = group.map(({ report }) => report);
      const results = await db.transactPrepared((tx) => recordTogether(tx, reports)).catch(() => []);
      group.forEach(({ settle }, position) => void settle(results[position]));
    }
  };
  // They start here, outside of any call: a group must not count as the work of the caller who completed it.
  const running = Promise.all(Array.from({ length: groupsAtOnce }, recordGroups));
  return {
    record(report) {
      const { promise, resolve } = Promise.withResolvers<RecordedReport | Refusal | undefined>();
      if (isClosed) resolve(undefined);
      else {
        waiting.push({ report, settle: resolve });
        wakeup.wake();
      }
      return promise;
    },
    async close() {
      isClosed = true;
      wakeup.wake();
      await running;
    },
  };
}
