import { create } from '@bufbuild/protobuf';
import { type Timestamp, timestampDate, timestampFromDate } from '@bufbuild/protobuf/wkt';
import type { ServiceImpl } from '@connectrpc/connect';
import { enumName, gapReasons } from '../../contract/enum-names.ts';
import type { BrokerService } from '../../gen/brokkr/v1/broker_pb.ts';
import { type KubernetesEvent, KubernetesEventSchema } from '../../gen/brokkr/v1/diagnostic_pb.ts';
import type { ObjectRef } from '../../gen/brokkr/v1/object_pb.ts';
import {
  GapReason,
  type TelemetryItem as ItemMessage,
  type PodLogLine,
  PodLogLineSchema,
  type SessionTelemetry,
  type TelemetryGap,
  TelemetryGapSchema,
  TelemetryItemSchema,
  TelemetryKind,
  type TelemetryRecord,
  TelemetryRecordSchema,
} from '../../gen/brokkr/v1/telemetry_pb.ts';
import { ownerOf, type Principal } from '../access/principal.ts';
import { findAgent } from '../agent/store.ts';
import type { Deps } from '../deps.ts';
import { fromRef } from '../health/service.ts';
import { principalOf } from '../rpc/principal.ts';
import { findStack } from '../stack/store.ts';
import type { Database } from '../store/database.ts';
import { cutPage, readPage } from '../store/page.ts';
import { bytesOf, emptyItem, type Filter, gapOf, type Stream, type TelemetryItem } from './rules.ts';
import * as store from './store.ts';

/** The fields by which requests select telemetry. */
interface FilterRequest {
  readonly stack: string;
  readonly agent: string;
  readonly object?: ObjectRef | undefined;
  readonly type?: string;
  readonly namespace?: string;
  readonly pod?: string;
  readonly container?: string;
  readonly startTime?: Timestamp | undefined;
}

export function telemetryMethods({
  db,
  keepMs,
}: Deps & { keepMs: number }): Pick<ServiceImpl<typeof BrokerService>, 'listKubernetesEvents' | 'listPodLogs'> {
  const list = async (
    name: 'kubernetes-events' | 'pod-logs',
    principal: Principal,
    filter: Filter,
    request: { pageSize: number; pageToken: string; oldestFirst: boolean },
  ) => {
    const { oldestFirst } = request;
    const scope = [name, principal.ownerId, filter, oldestFirst];
    const page = readPage(request, scope);
    const rows = await store.listTelemetry(db, filter, {
      keepMs,
      oldestFirst,
      after: page.after,
      limit: page.size + 1,
    });
    const cut = cutPage(rows, page, scope, (row) => [row.xid, row.id], bytesOf);
    return { records: cut.rows.map(toRecord), nextPageToken: cut.nextPageToken };
  };
  return {
    async listKubernetesEvents(request, context) {
      const principal = principalOf(context);
      const filter = await filterOf(db, principal, ['event'], request);
      return list('kubernetes-events', principal, filter, request);
    },
    async listPodLogs(request, context) {
      const principal = principalOf(context);
      const filter = await filterOf(db, principal, ['log'], request);
      return list('pod-logs', principal, filter, request);
    },
  };
}

/** Reads a request's filter. Refuses a stack or an agent that the caller may not see. */
export async function filterOf(
  db: Database,
  principal: Principal,
  streams: readonly Stream[],
  request: FilterRequest,
): Promise<Filter> {
  const { id: stackId } = await findStack(db, ownerOf(principal), request.stack);
  return {
    stackId,
    streams,
    agentId: request.agent === '' ? undefined : (await findAgent(db, principal, request.agent)).id,
    kind: request.object?.kind ?? '',
    namespace: request.object?.namespace || request.namespace || '',
    name: request.object?.name || request.pod || '',
    container: request.container ?? '',
    type: request.type ?? '',
    startAt: request.startTime && timestampDate(request.startTime),
  };
}

/** Returns the streams of these kinds; all of them when no kind is named. */
export function streamsOf(kinds: readonly TelemetryKind[]): Stream[] {
  return kinds.length === 0 ? ['event', 'log'] : kinds.map(streamOf);
}

function streamOf(kind: TelemetryKind): Stream {
  return kind === TelemetryKind.POD_LOGS ? 'log' : 'event';
}

/** Reads the items that an agent sends, without those of a kind that this version does not know. */
export function readItems({ items }: SessionTelemetry): TelemetryItem[] {
  return items.flatMap(readItem);
}

function dateOf(time: Timestamp | undefined): Date | null {
  return time ? timestampDate(time) : null;
}

function readItem({ stackId, item }: ItemMessage): TelemetryItem[] {
  switch (item.case) {
    case 'event':
      return [readEvent(stackId, item.value)];
    case 'line':
      return [readLine(stackId, item.value)];
    case 'gap':
      return [readGap(stackId, item.value)];
    case undefined:
      return [];
  }
}

function readEvent(stackId: string, event: KubernetesEvent): TelemetryItem {
  const { object, type, reason, message, count, lastTime, firstTime, source } = event;
  return {
    ...emptyItem,
    ...fromRef(object),
    stackId,
    stream: 'event',
    gap: null,
    count: BigInt(count),
    type,
    reason,
    source,
    text: message,
    firstAt: dateOf(firstTime),
    at: dateOf(lastTime),
  };
}

function readLine(stackId: string, podLine: PodLogLine): TelemetryItem {
  const { namespace, pod, container, timestamp, line, truncated } = podLine;
  return {
    ...emptyItem,
    stackId,
    stream: 'log',
    gap: null,
    count: 1n,
    kind: 'Pod',
    namespace,
    name: pod,
    container,
    at: dateOf(timestamp),
    text: line,
    truncated,
  };
}

/** Reads a gap; a reason that this version does not know counts as the most general one. */
function readGap(stackId: string, gap: TelemetryGap): TelemetryItem {
  const { kind, reason, count, namespace, pod, container, timestamp } = gap;
  const item = gapOf(stackId, streamOf(kind), enumName(gapReasons, reason) ?? 'history_lost', count);
  return { ...item, namespace, name: pod, container, at: dateOf(timestamp) };
}

export function toRecord(row: store.TelemetryRow): TelemetryRecord {
  return create(TelemetryRecordSchema, {
    id: BigInt(row.id),
    agentId: row.agentId,
    agent: row.agent ?? '',
    receiveTime: timestampFromDate(row.receivedAt),
    item: toItemMessage(row),
  });
}

/** Makes a gap for a reader that did not keep up. */
export function slowReaderGap(stackId: string, stream: Stream, count: number): TelemetryRecord {
  const reason = GapReason.SLOW_READER;
  const value = create(TelemetryGapSchema, { kind: kindOf(stream), reason, count: BigInt(count) });
  return create(TelemetryRecordSchema, {
    item: create(TelemetryItemSchema, { stackId, item: { case: 'gap', value } }),
  });
}

function toItemMessage(row: store.TelemetryRow): ItemMessage {
  const { stackId, namespace, name, container } = row;
  const timestamp = row.at ? timestampFromDate(row.at) : undefined;
  if (row.gap !== null) {
    const value = create(TelemetryGapSchema, {
      kind: kindOf(row.stream),
      reason: gapReasons[row.gap],
      count: BigInt(row.count),
      namespace,
      pod: name,
      container,
      timestamp,
    });
    return create(TelemetryItemSchema, { stackId, item: { case: 'gap', value } });
  }
  switch (row.stream) {
    case 'event': {
      const value = create(KubernetesEventSchema, {
        object: { apiVersion: row.apiVersion, kind: row.kind, namespace, name },
        type: row.type,
        reason: row.reason,
        message: row.text,
        count: Number(row.count),
        lastTime: timestamp,
        firstTime: row.firstAt ? timestampFromDate(row.firstAt) : undefined,
        source: row.source,
      });
      return create(TelemetryItemSchema, { stackId, item: { case: 'event', value } });
    }
    case 'log': {
      const { text: line, truncated } = row;
      const value = create(PodLogLineSchema, { namespace, pod: name, container, timestamp, line, truncated });
      return create(TelemetryItemSchema, { stackId, item: { case: 'line', value } });
    }
  }
}

function kindOf(stream: Stream): TelemetryKind {
  return stream === 'event' ? TelemetryKind.KUBERNETES_EVENTS : TelemetryKind.POD_LOGS;
}
