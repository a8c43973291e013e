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
import type { Output } from '../output/output.ts';
import { sanitize, sanitizeLine } from '../output/sanitize.ts';
import { jsonOf, printJson } from '../output/view.ts';
import { pluralize } from './enum-labels.ts';

/** Prints a record as a line for people, one line of JSON, one YAML document, or its source. */
export function printRecord(output: Output, record: TelemetryRecord, options: { timestamps: boolean }): void {
  switch (output.format) {
    case 'json':
      output.line(JSON.stringify(jsonOf(TelemetryRecordSchema, record)));
      break;
    case 'yaml':
      output.line('---');
      printJson(output, jsonOf(TelemetryRecordSchema, record));
      break;
    case 'name':
      output.line(sanitize(nameOf(record)));
      break;
    case 'table':
      output.line(lineOf(output, record, options.timestamps));
  }
}

/** Names the source of a record: "east shop/web-1/main" for a line, "east Pod shop/web-1" for an event. */
function nameOf({ agent, item }: TelemetryRecord): string {
  const content = item?.item;
  const source =
    content?.case === 'event' ? objectText(content.value.object) : content?.case ? sourceText(content.value) : '';
  return [agent, source].filter((part) => part !== '').join(' ');
}

function lineOf(output: Output, { agent, item, receiveTime }: TelemetryRecord, timestamps: boolean): string {
  const content = item?.item;
  switch (content?.case) {
    case 'line': {
      const source = sanitize(`${agent} ${content.value.pod}/${content.value.container}`);
      const time = timestamps ? [output.paint('dim', timeText(content.value.timestamp ?? receiveTime))] : [];
      return [output.tint(source, source), ...time, textOf(output, content.value)].join('  ');
    }
    case 'event':
      return [
        output.paint('dim', timeText(content.value.lastTime ?? receiveTime)),
        ...eventParts(output, agent, content.value),
      ].join('  ');
    case 'gap': {
      const source = sanitize([agent, gapSource(content.value)].filter((part) => part !== '').join(' '));
      return [
        ...(source === '' ? [] : [output.tint(source, source)]),
        output.paint('warn', gapText(content.value)),
      ].join('  ');
    }
    default:
      return output.paint('warn', 'a record that this version does not know');
  }
}

function textOf(output: Output, { line, truncated }: PodLogLine): string {
  return sanitizeLine(line) + (truncated ? output.paint('warn', ' … (truncated)') : '');
}

function eventParts(output: Output, agent: string, event: KubernetesEvent): string[] {
  const { object, type, reason, message, count: times } = event;
  const typeText = sanitize(type);
  return [
    output.tint(agent, sanitize(agent)),
    type === 'Warning' ? output.paint('warn', typeText) : typeText,
    sanitize(reason),
    sanitize(objectText(object)),
    `${sanitize(message)}${times > 1 ? ` (x${times})` : ''}`,
  ];
}

/** Describes a gap: "12 lines are missing: the agent exceeded its rate limit". */
function gapText({ kind, count: missing, reason }: TelemetryGap): string {
  const noun = kind === TelemetryKind.POD_LOGS ? 'line' : 'event';
  const summary =
    missing === 0n
      ? `${noun}s may be missing`
      : `${pluralize(Number(missing), noun)} ${missing === 1n ? 'is' : 'are'} missing`;
  return `(${summary}: ${gapReasonLabels[reason] ?? gapReasonLabels[GapReason.UNSPECIFIED]})`;
}

function gapSource({ pod, container }: TelemetryGap): string {
  return pod === '' ? '' : `${pod}/${container}`;
}

function sourceText({ namespace, pod, container }: PodLogLine | TelemetryGap): string {
  return [namespace, pod, container].filter((part) => part !== '').join('/');
}

/** Formats a time: "2026-01-31T12:00:00.123Z". */
function timeText(time: Timestamp | undefined): string {
  return time ? timestampDate(time).toISOString() : '-';
}
