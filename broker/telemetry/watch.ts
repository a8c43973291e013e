import { create } from '@bufbuild/protobuf';
import type { ServiceImpl } from '@connectrpc/connect';
import type { BrokerService } from '../../gen/brokkr/v1/broker_pb.ts';
import { TailStackResponseSchema, type TelemetryRecord } from '../../gen/brokkr/v1/telemetry_pb.ts';
import type { Deps } from '../deps.ts';
import { portions } from '../fleet/rules.ts';
import { endOf, principalOf, refuseEnded } from '../rpc/principal.ts';
import { type PollInterval, poll } from '../store/poll.ts';
import { bytesOf } from './rules.ts';
import { filterOf, slowReader, streamsOf, toRecord } from './service.ts';
import { listTelemetry, liveMs, readSnapshot, type TelemetryRow, telemetrySince } from './store.ts';

const keepaliveMs = 30_000;
const pollInterval: PollInterval = { maxMs: 2_000, minMs: 50 };
/** A reader that is further behind misses what is older. */
const rowsInRead = 2_000;
/** Of one message; the bytes are well below what an answer may have. */
const most = { items: 500, bytes: 1 << 20 } as const;
const usualHistory = 1_000;

/** TailStack: from reads of the database, which is where a slow reader's backlog waits; the feed only says when to read. */
export function tailMethods({
  db,
  feed,
  closing,
  keepMs,
}: Deps & { closing: AbortSignal; keepMs: number }): Pick<ServiceImpl<typeof BrokerService>, 'tailStack'> {
  return {
    async *tailStack(request, context) {
      const streams = streamsOf(request.kinds);
      const filter = await filterOf(db, principalOf(context), streams, request);
      const { stackId } = filter;
      // What is committed between the two is in both: it is told once, by its id.
      let snapshot = await readSnapshot(db);
      const history = request.startTime
        ? await listTelemetry(db, filter, {
            keepMs,
            oldestFirst: false,
            after: undefined,
            limit: request.historySize || usualHistory,
          })
        : [];
      const told = new Set(history.map(({ id }) => id));
      // Something comes at once, so that its reader knows that it stands.
      if (history.length === 0) yield create(TailStackResponseSchema);
      for (const message of messages(history.toReversed(), [])) yield message;
      let lastReadAt = performance.now();
      const read = async () => {
        const beganAt = performance.now();
        const news = await telemetrySince(db, filter, snapshot, rowsInRead);
        // What a reader has not taken for so long is no longer looked for.
        const isLate = beganAt - lastReadAt > liveMs * 0.8;
        snapshot = news.snapshot;
        lastReadAt = beganAt;
        return {
          left: news.left > 0 || isLate ? [slowReader(stackId, streams[0]!, news.left)] : [],
          rows: news.rows.filter(({ id }) => !told.has(id)),
          over: news.rows.length === 0 && !news.stackThere,
        };
      };
      const subscribe = (hint: () => void) =>
        feed.subscribe({
          changed: (changes) => changes.some((change) => change.ref === stackId) && hint(),
          reset: hint,
          telemetryRecorded: (ids) => (ids === '*' || ids.includes(stackId)) && hint(),
        });
      let lastSentAt = lastReadAt;
      for await (const { rows, left, over } of poll(subscribe, read, pollInterval, endOf(context, closing))) {
        for (const message of messages(rows, left)) {
          yield message;
          lastSentAt = performance.now();
        }
        if (over) return;
        if (performance.now() - lastSentAt > keepaliveMs) {
          yield create(TailStackResponseSchema);
          lastSentAt = performance.now();
        }
      }
      refuseEnded(context, closing);
    },
  };
}

function messages(rows: readonly TelemetryRow[], before: readonly TelemetryRecord[]) {
  const told = before.length > 0 ? [create(TailStackResponseSchema, { records: [...before] })] : [];
  const rest = portions(rows, bytesOf, most).map((some) =>
    create(TailStackResponseSchema, { records: some.map(toRecord) }),
  );
  return [...told, ...rest];
}
