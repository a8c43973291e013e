import { type Timestamp, timestampDate } from '@bufbuild/protobuf/wkt';
import { gapReasonLabels } from '../../contract/enum-labels.ts';
import { objectText } from '../../contract/object-key.ts';
import type { KubernetesEvent } from '../../gen/brokkr/v1/diagnostic_pb.ts';
import {
  GapReason,
  type PodLogLine,
  type TelemetryGap,
  TelemetryKind,
  type TelemetryRecord,
  TelemetryRecordSchema,
} from '../../gen/brokkr/v1/telemetry_pb.ts';
import { jsonOf, type Output, printJson, sanitize, sanitizeLine } from '../output/output.ts';
import { pluralize } from './enum-labels.ts';

/** Prints one record: for people a line, otherwise as JSON a line, as YAML a document. */
export function printRecord(out: Output, record: TelemetryRecord, more: { timestamps: boolean }): void {
  switch (out.format) {
    case 'json':
      out.line(JSON.stringify(jsonOf(TelemetryRecordSchema, record)));
      break;
    case 'yaml':
      out.line('---');
      printJson(out, jsonOf(TelemetryRecordSchema, record));
      break;
    case 'name':
      out.line(sanitize(nameOf(record)));
      break;
    case 'table':
      out.line(lineOf(out, record, more.timestamps));
  }
}

/** What it is from: "east shop/web-1/main" for a line, "east Pod shop/web-1" for an event. */
function nameOf({ agent, item }: TelemetryRecord): string {
  const told = item?.item;
  const of = told?.case === 'event' ? objectText(told.value.object) : told?.case ? sourceText(told.value) : '';
  return [agent, of].filter((part) => part !== '').join(' ');
}

function lineOf(out: Output, { agent, item, receiveTime }: TelemetryRecord, timestamps: boolean): string {
  const told = item?.item;
  switch (told?.case) {
    case 'line': {
      const from = sanitize(`${agent} ${told.value.pod}/${told.value.container}`);
      const time = timestamps ? [out.paint('dim', timeText(told.value.timestamp ?? receiveTime))] : [];
      return [out.tint(from, from), ...time, textOf(out, told.value)].join('  ');
    }
    case 'event':
      return [
        out.paint('dim', timeText(told.value.lastTime ?? receiveTime)),
        ...eventParts(out, agent, told.value),
      ].join('  ');
    case 'gap': {
      const from = sanitize([agent, gapSource(told.value)].filter((part) => part !== '').join(' '));
      return [...(from === '' ? [] : [out.tint(from, from)]), out.paint('warn', gapText(told.value))].join('  ');
    }
    default:
      return out.paint('warn', 'something that this version does not know');
  }
}

function textOf(out: Output, { line, truncated }: PodLogLine): string {
  return sanitizeLine(line) + (truncated ? out.paint('warn', ' … (cut)') : '');
}

function eventParts(out: Output, agent: string, event: KubernetesEvent): string[] {
  const { object, type, reason, message, count: times } = event;
  const said = sanitize(type);
  return [
    out.tint(agent, sanitize(agent)),
    type === 'Warning' ? out.paint('warn', said) : said,
    sanitize(reason),
    sanitize(objectText(object)),
    `${sanitize(message)}${times > 1 ? ` (x${times})` : ''}`,
  ];
}

/** "12 lines are missing: the agent exceeded its rate limit". */
function gapText({ kind, count: missing, reason }: TelemetryGap): string {
  const noun = kind === TelemetryKind.POD_LOGS ? 'line' : 'event';
  const what =
    missing === 0n
      ? `${noun}s may be missing`
      : `${pluralize(Number(missing), noun)} ${missing === 1n ? 'is' : 'are'} missing`;
  return `(${what}: ${gapReasonLabels[reason] ?? gapReasonLabels[GapReason.UNSPECIFIED]})`;
}

function gapSource({ pod, container }: TelemetryGap): string {
  return pod === '' ? '' : `${pod}/${container}`;
}

function sourceText({ namespace, pod, container }: PodLogLine | TelemetryGap): string {
  return [namespace, pod, container].filter((part) => part !== '').join('/');
}

/** "2026-01-31T12:00:00.123Z". */
function timeText(time: Timestamp | undefined): string {
  return time ? timestampDate(time).toISOString() : '-';
}
