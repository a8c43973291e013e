import { invalidKey } from '../access/rules.ts';
import { requireIncarnation } from '../agent/rules.ts';
import { Refusal } from '../refusal.ts';
import type { Sql } from '../store/database.ts';
import { lockReports, type Report, type ReportState, recordReports, type SentEvent } from './report-store.ts';
import { type AgentEvent, type ReceivedEvent, receiveEvents, toHistory } from './rules.ts';

/** The outcome of a report. */
export interface RecordedReport {
  readonly received: readonly ReceivedEvent[];
  readonly accepted: readonly AgentEvent[];
}

/** Records one report, after those of the same agent that are being recorded. A refusal is thrown. */
export async function recordReport(tx: Sql, report: Report): Promise<RecordedReport> {
  const [recorded] = await recordAll(tx, [report], await lockReports(tx, [report], { wait: true }));
  // The keys of an agent are deleted with it.
  if (!recorded) throw invalidKey();
  if (recorded instanceof Refusal) throw recorded;
  return recorded;
}

/**
 * Records several reports, each by itself: what is refused of one does not affect the others. Undefined stands for a report that was
 * left out, because its agent is gone or is being changed by somebody else; `recordReport` is for those.
 */
export async function recordTogether(
  tx: Sql,
  reports: readonly Report[],
): Promise<(RecordedReport | Refusal | undefined)[]> {
  return recordAll(tx, reports, await lockReports(tx, reports, { wait: false }));
}

async function recordAll(
  tx: Sql,
  reports: readonly Report[],
  states: readonly (ReportState | undefined)[],
): Promise<(RecordedReport | Refusal | undefined)[]> {
  const last = new Map<string, { incarnation: bigint; sequence: bigint }>();
  const history: SentEvent[] = [];
  const accepted: SentEvent[] = [];
  const results = reports.map((report, position) => {
    const state = states[position];
    if (!state) return undefined;
    const { agentId, incarnation } = report;
    const known = last.get(agentId) ?? { incarnation: state.incarnation, sequence: state.lastSequence };
    const refusal = refusalOf(report, state, known.incarnation);
    if (refusal) return refusal;
    // Every start counts its events from 1; a restored database may not know this one.
    const lastSequence = known.incarnation === incarnation ? known.sequence : 0n;
    const result = receiveEvents(report.events, lastSequence, state.placedStackIds);
    last.set(agentId, { incarnation, sequence: result.lastSequence });
    const recorded = {
      received: result.received,
      accepted: result.received.filter(({ receipt }) => receipt === 'accepted').map(({ event }) => event),
    };
    for (const event of toHistory(result.received)) history.push({ agentId, incarnation, event });
    for (const event of recorded.accepted) accepted.push({ agentId, incarnation, event });
    return recorded;
  });
  if (last.size > 0) await recordReports(tx, { history, accepted, last });
  return results;
}

/** Returns the refusal of a report as a whole: its key has ended, or another start has replaced the agent. */
function refusalOf(report: Report, state: ReportState, incarnation: bigint): Refusal | undefined {
  if (!state.isKeyValid) return invalidKey();
  try {
    requireIncarnation(incarnation, report.incarnation);
    return undefined;
  } catch (error) {
    if (error instanceof Refusal) return error;
    throw error;
  }
}
