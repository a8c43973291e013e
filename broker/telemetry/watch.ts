import { create } from '@bufbuild/protobuf';
import type { ServiceImpl } from '@connectrpc/connect';
import type { BrokerService } from '../../gen/brokkr/v1/broker_pb.ts';
import { type TailStackResponse, TailStackResponseSchema } from '../../gen/brokkr/v1/telemetry_pb.ts';
import type { Deps } from '../deps.ts';
import { portions } from '../fleet/rules.ts';
import { endOf, principalOf, refuseEnded } from '../rpc/principal.ts';
import type { Database } from '../store/database.ts';
import type { Feed } from '../store/feed.ts';
import { type PollInterval, poll } from '../store/poll.ts';
import { bytesOf, type Filter } from './rules.ts';
import { filterOf, slowReaderGap, streamsOf, toRecord } from './service.ts';
import { listTelemetry, liveMs, readSnapshot, type TelemetryRow, telemetrySince } from './store.ts';

const keepaliveMs = 30_000;
const pollInterval: PollInterval = { maxMs: 2_000, minMs: 50 };
/** Rows of one read. A reader that is further behind misses the older ones. */
const maxRowsPerRead = 2_000;
/** Limits of one message; an answer may be far larger than these bytes. */
const maxPerMessage = { items: 500, bytes: 1 << 20 } as const;
const defaultHistorySize = 1_000;
/** Share of `liveMs` after which a read may have missed rows. */
const lateShare = 0.8;

/** TailStack reads from the database, where the backlog of a slow reader waits; the change feed only says when to read. */
export function tailMethods({
  db,
  feed,
  closing,
  keepMs,
}: Deps & { closing: AbortSignal; keepMs: number }): Pick<ServiceImpl<typeof BrokerService>, 'tailStack'> {
  return {
    async *tailStack(request, context) {
      const filter = await filterOf(db, principalOf(context), streamsOf(request.kinds), request);
      const ended = endOf(context, closing);
      // The snapshot comes first: what is committed between the two reads is in both, and is left out of the second by its id.
      const snapshot = await readSnapshot(db);
      const historyPage = {
        keepMs,
        oldestFirst: false,
        after: undefined,
        limit: request.historySize || defaultHistorySize,
      };
      const history = request.startTime ? await listTelemetry(db, filter, historyPage) : [];
      // The first message comes at once, so that the caller knows that the stream is open.
      if (history.length === 0) yield create(TailStackResponseSchema);
      yield* toMessages(history.toReversed());
      const read = createTailReader(db, filter, snapshot, new Set(history.map(({ id }) => id)));
      let lastSentAt = performance.now();
      for await (const { rows, gap, isOver } of poll(subscribeTo(feed, filter.stackId), read, pollInterval, ended)) {
        if (gap)
          yield create(TailStackResponseSchema, { records: [slowReaderGap(gap.stackId, gap.stream, gap.count)] });
        yield* toMessages(rows);
        if (gap || rows.length > 0) lastSentAt = performance.now();
        if (isOver) return;
        if (performance.now() - lastSentAt > keepaliveMs) {
          yield create(TailStackResponseSchema);
          lastSentAt = performance.now();
        }
      }
      refuseEnded(context, closing);
    },
  };
}

interface TailRead {
  readonly rows: readonly TelemetryRow[];
  /** Set when rows are missing before these; the count is 0 when it is not known. */
  readonly gap:
    | { readonly stackId: string; readonly stream: Filter['streams'][number]; readonly count: number }
    | undefined;
  /** The stack is deleted and everything was read. */
  readonly isOver: boolean;
}

/** Creates the reads of a tail: each returns the rows recorded since the previous one, without those that were sent as history. */
function createTailReader(
  db: Database,
  filter: Filter,
  firstSnapshot: string,
  sentIds: ReadonlySet<string>,
): () => Promise<TailRead> {
  const { stackId, streams } = filter;
  let snapshot = firstSnapshot;
  let lastReadAt = performance.now();
  return async () => {
    const startedAt = performance.now();
    const { rows, omitted, stackExists, snapshot: next } = await telemetrySince(db, filter, snapshot, maxRowsPerRead);
    // Reads do not return rows older than `liveMs`, which a reader that was blocked for so long has missed.
    const isLate = startedAt - lastReadAt > liveMs * lateShare;
    snapshot = next;
    lastReadAt = startedAt;
    return {
      rows: rows.filter(({ id }) => !sentIds.has(id)),
      gap: omitted > 0 || isLate ? { stackId, stream: streams[0]!, count: omitted } : undefined,
      isOver: rows.length === 0 && !stackExists,
    };
  };
}

function subscribeTo(feed: Feed, stackId: string): (hint: () => void) => () => void {
  return (hint) =>
    feed.subscribe({
      changed: (changes) => changes.some((change) => change.ref === stackId) && hint(),
      reset: hint,
      telemetryRecorded: (ids) => (ids === '*' || ids.includes(stackId)) && hint(),
    });
}

function* toMessages(rows: readonly TelemetryRow[]): Generator<TailStackResponse> {
  for (const portion of portions(rows, bytesOf, maxPerMessage))
    yield create(TailStackResponseSchema, { records: portion.map(toRecord) });
}
