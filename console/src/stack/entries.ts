import { type Timestamp, timestampDate, timestampFromMs, timestampMs } from '@bufbuild/protobuf/wkt';
import { gapReasonLabels } from '../../../contract/enum-labels.ts';
import { objectText } from '../../../contract/object-key.ts';
import {
  GapReason,
  type TelemetryGap,
  TelemetryKind,
  type TelemetryRecord,
} from '../../../gen/brokkr/v1/telemetry_pb.ts';
import { count } from '../enum-labels.ts';

/** What a cluster told, as it is shown. */
export interface Entry {
  readonly key: string;
  readonly id: bigint;
  readonly receiveTime: Timestamp | undefined;
  readonly kind: 'line' | 'event' | 'gap';
  readonly agent: string;
  /** "pod/container" for a line, the object for an event; may be empty for a gap. */
  readonly source: string;
  /** When it was told, by the cluster's clock. */
  readonly time: Date | undefined;
  readonly text: string;
  readonly warning: boolean;
}

/** How many are kept: older ones are forgotten. */
export const mostEntries = 5_000;

/** Those before, and what of the news is new, without the oldest when they are too many. */
export function withNews(before: readonly Entry[], news: readonly Entry[]): readonly Entry[] {
  const known = new Set(before.map(({ key }) => key));
  const forgotten = before.length < mostEntries ? 0n : (before[0]?.id ?? 0n);
  const fresh = news.filter(({ key, id }) => !known.has(key) && (id === 0n || id > forgotten));
  return fresh.length === 0 ? before : [...before, ...fresh].slice(-mostEntries);
}

/** What the broker got shortly before the last that came may come after it. */
const overlapMs = 10_000;

/** From when on to ask, so that nothing is missed after a break. */
export function resumeTime(entries: readonly Entry[]): Timestamp {
  const last = entries.findLast(({ receiveTime }) => receiveTime)?.receiveTime;
  return timestampFromMs(last ? timestampMs(last) - overlapMs : 0);
}

let unnumbered = 0;

/** What is shown of a record; of a newer broker's kinds, nothing. */
export function entriesOf({ id, agent, receiveTime, item }: TelemetryRecord): Entry[] {
  const key = id === 0n ? `mark ${++unnumbered}` : String(id);
  const entry = { key, id, receiveTime, agent: harmless(agent), warning: false };
  const dateOf = (time: Timestamp | undefined) => {
    const known = time ?? receiveTime;
    return known && timestampDate(known);
  };
  const told = item?.item;
  switch (told?.case) {
    case 'line': {
      const { line, truncated, timestamp } = told.value;
      const text = harmless(line) + (truncated ? ' … (cut)' : '');
      return [{ ...entry, kind: 'line', source: sourceText(told.value), time: dateOf(timestamp), text }];
    }
    case 'event': {
      const { object, type, reason, message, count: times, lastTime } = told.value;
      const text = harmless(`${reason}: ${message}`) + (times > 1 ? ` (${times.toLocaleString('en')} times)` : '');
      const source = harmless(objectText(object));
      return [{ ...entry, kind: 'event', source, time: dateOf(lastTime), text, warning: type === 'Warning' }];
    }
    case 'gap': {
      const { timestamp } = told.value;
      const source = sourceText(told.value);
      return [{ ...entry, kind: 'gap', source, time: dateOf(timestamp), text: gapText(told.value), warning: true }];
    }
    default:
      return [];
  }
}

function sourceText({ pod, container }: { pod: string; container: string }): string {
  return harmless([pod, container].filter((part) => part !== '').join('/'));
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: the sequences by which terminals are told colours and titles
const terminalSequence = /\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)?)/g;

/** Text from elsewhere, without what a terminal would obey; what else does not print, or turns the direction, is seen as such. */
function harmless(text: string): string {
  return text.replace(terminalSequence, '').replace(/(?!\t)[\p{Cc}\p{Bidi_Control}]/gu, '\ufffd');
}

/** "12 lines are missing: more came than the agent may send". */
function gapText({ kind, count: missing, reason }: TelemetryGap): string {
  const noun = kind === TelemetryKind.POD_LOGS ? 'line' : 'event';
  const known = `${count(Number(missing), noun)} ${missing === 1n ? 'is' : 'are'} missing`;
  return `${missing === 0n ? `Some ${noun}s may be missing` : known}: ${gapReasonLabels[reason] ?? gapReasonLabels[GapReason.UNSPECIFIED]}`;
}
