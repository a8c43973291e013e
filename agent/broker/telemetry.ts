import type { MessageInitShape } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import { gapReasons } from '../../contract/enum-names.ts';
import { type SessionTelemetrySchema, TelemetryKind } from '../../gen/brokkr/v1/telemetry_pb.ts';
import type { LogSource, TelemetryItem } from '../telemetry/item.ts';
import type { TelemetryBatch } from '../telemetry/outbox.ts';
import { plain } from './events.ts';

const maxLineBytes = 8_192;
/** The most bytes that one UTF-16 code unit takes in UTF-8. */
const maxBytesPerUnit = 3;

/** Builds the message of a batch, cut to the limits of the contract. */
export function toTelemetryMessage({
  sequence,
  items,
}: TelemetryBatch): MessageInitShape<typeof SessionTelemetrySchema> {
  return { sequence, items: items.map((item) => ({ stackId: item.stackId, item: toItem(item) })) };
}

function toItem(item: TelemetryItem) {
  switch (item.type) {
    case 'event': {
      const { object, type, reason, message, count, at, firstAt, source } = item.event;
      const value = {
        object,
        type: plain(type, 63),
        reason: plain(reason, 253),
        message: plain(message, 2_048),
        count,
        lastTime: at && timestampFromDate(at),
        firstTime: firstAt && timestampFromDate(firstAt),
        source: plain(source, 253),
      };
      return { case: 'event', value } as const;
    }
    case 'line': {
      const { text, isCut } = cutLine(item.text);
      const value = {
        ...item.source,
        timestamp: item.at && timestampFromDate(item.at),
        line: text,
        truncated: item.isTruncated || isCut,
      };
      return { case: 'line', value } as const;
    }
    case 'gap': {
      const kind = item.source ? TelemetryKind.POD_LOGS : TelemetryKind.KUBERNETES_EVENTS;
      const source: LogSource = item.source ?? { namespace: '', pod: '', container: '' };
      const value = {
        ...source,
        kind,
        reason: gapReasons[item.reason],
        count: BigInt(item.count),
        timestamp: timestampFromDate(item.at),
      };
      return { case: 'gap', value } as const;
    }
  }
}

function cutLine(line: string): { text: string; isCut: boolean } {
  const text = plain(line, maxLineBytes);
  if (Buffer.byteLength(text) <= maxLineBytes) return { text, isCut: text.length < line.length };
  const bytes = Buffer.from(text).subarray(0, maxLineBytes - maxBytesPerUnit);
  return { text: bytes.toString().replace(/\ufffd$/, ''), isCut: true };
}
