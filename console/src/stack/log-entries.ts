import { type Timestamp, timestampDate, timestampFromMs, timestampMs } from '@bufbuild/protobuf/wkt';
import { gapReasonLabels } from '../../../contract/enum-labels.ts';
import { objectText } from '../../../contract/object-key.ts';
import {
  GapReason,
  type TelemetryGap,
  TelemetryKind,
  type TelemetryRecord,
} from '../../../gen/brokkr/v1/telemetry_pb.ts';
import { countText } from '../enum-labels.ts';

/** A log line, Kubernetes event or gap, as it is shown. */
export interface LogEntry {
  readonly key: string;
  readonly id: bigint;
  readonly receiveTime: Timestamp | undefined;
  readonly kind: 'line' | 'event' | 'gap';
  readonly agent: string;
  /** "pod/container" for a line, the object for an event; may be empty for a gap. */
  readonly source: string;
  /** When it happened, by the cluster's clock. */
  readonly time: Date | undefined;
  readonly text: string;
  readonly warning: boolean;
}

/** Maximum number of entries kept; older ones are dropped. */
export const maxEntries = 5_000;

/** Appends the incoming entries that are not there yet, and drops the oldest over the maximum. */
export function mergeEntries(before: readonly LogEntry[], incoming: readonly LogEntry[]): readonly LogEntry[] {
  const known = new Set(before.map(({ key }) => key));
  const oldestKept = before.length < maxEntries ? 0n : (before[0]?.id ?? 0n);
  const fresh = incoming.filter(({ key, id }) => !known.has(key) && (id === 0n || id > oldestKept));
  return fresh.length === 0 ? before : [...before, ...fresh].slice(-maxEntries);
}

/** Records that the broker received at nearly the same time may arrive out of order within this time. */
const overlapMs = 10_000;

/** Returns the time from which to resume the stream, so that nothing is missed after a disconnect. */
export function resumeTime(entries: readonly LogEntry[]): Timestamp {
  const last = entries.findLast(({ receiveTime }) => receiveTime)?.receiveTime;
  return timestampFromMs(last ? timestampMs(last) - overlapMs : 0);
}

let markCount = 0;

/** Converts a record to entries. Kinds of a newer broker that are unknown here are skipped. */
export function toEntries({ id, agent, receiveTime, item }: TelemetryRecord): LogEntry[] {
  const key = id === 0n ? `mark ${++markCount}` : String(id);
  const entry = { key, id, receiveTime, agent: sanitize(agent), warning: false };
  const dateOf = (time: Timestamp | undefined) => {
    const known = time ?? receiveTime;
    return known && timestampDate(known);
  };
  const payload = item?.item;
  switch (payload?.case) {
    case 'line': {
      const { line, truncated, timestamp } = payload.value;
      const text = sanitize(line) + (truncated ? ' … (cut)' : '');
      return [{ ...entry, kind: 'line', source: sourceText(payload.value), time: dateOf(timestamp), text }];
    }
    case 'event': {
      const { object, type, reason, message, count: times, lastTime } = payload.value;
      const text = sanitize(`${reason}: ${message}`) + (times > 1 ? ` (${times.toLocaleString('en')} times)` : '');
      const source = sanitize(objectText(object));
      return [{ ...entry, kind: 'event', source, time: dateOf(lastTime), text, warning: type === 'Warning' }];
    }
    case 'gap': {
      const { timestamp } = payload.value;
      const source = sourceText(payload.value);
      return [{ ...entry, kind: 'gap', source, time: dateOf(timestamp), text: gapText(payload.value), warning: true }];
    }
    default:
      return [];
  }
}

function sourceText({ pod, container }: { pod: string; container: string }): string {
  return sanitize([pod, container].filter((part) => part !== '').join('/'));
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: terminal escape sequences for colours and titles
const terminalSequence = /\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)?)/g;

/** Removes terminal sequences from untrusted text, and makes other control and bidirectional characters visible. */
function sanitize(text: string): string {
  return text.replace(terminalSequence, '').replace(/(?!\t)[\p{Cc}\p{Bidi_Control}]/gu, '\ufffd');
}

/** Describes a gap: "12 lines are missing: the agent exceeded its rate limit". */
function gapText({ kind, count: missing, reason }: TelemetryGap): string {
  const noun = kind === TelemetryKind.POD_LOGS ? 'line' : 'event';
  const known = `${countText(Number(missing), noun)} ${missing === 1n ? 'is' : 'are'} missing`;
  return `${missing === 0n ? `Some ${noun}s may be missing` : known}: ${gapReasonLabels[reason] ?? gapReasonLabels[GapReason.UNSPECIFIED]}`;
}
