import { create } from '@bufbuild/protobuf';
import type { ServiceImpl } from '@connectrpc/connect';
import type { BrokerService } from '../../gen/brokkr/v1/broker_pb.ts';
import { TailStackResponseSchema, type TelemetryRecord } from '../../gen/brokkr/v1/telemetry_pb.ts';
import type { Deps } from '../deps.ts';
import { portions } from '../fleet/rules.ts';
import { Refusal } from '../refusal.ts';
import { principalOf } from '../rpc/principal.ts';
import { stackById } from '../stack/store.ts';
import { pause } from '../store/wait.ts';
import { bytesOf } from './rules.ts';
import { filterOf, slowReader, streamsOf, toRecord } from './service.ts';
import { listTelemetry, liveMs, readSnapshot, type TelemetryRow, telemetrySince } from './store.ts';

const keepaliveMs = 30_000;
/** Even without a hint, the database is asked this often: hints may be lost. */
const rereadMs = 2_000;
/** The shortest time between two reads; a stream never reads for more than a tenth of the time. */
const pauseMs = 50;
const pausePerRead = 9;
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
      const principal = principalOf(context);
      const streams = streamsOf(request.kinds);
      const filter = await filterOf(db, principal, streams, request);
      const { stackId } = filter;
      const ends = [context.signal, closing, ...(principal.signal ? [principal.signal] : [])];
      const ended = AbortSignal.any(ends);
      let dirty = true;
      let wake = Promise.withResolvers<void>();
      const touch = () => {
        dirty = true;
        wake.resolve();
      };
      const unsubscribe = feed.subscribe({
        changed: (changes) => changes.some((change) => change.ref === stackId) && touch(),
        reset: touch,
        telemetered: (ids) => (ids === '*' || ids.includes(stackId)) && touch(),
      });
      ended.addEventListener('abort', touch, { once: true });
      try {
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
        let lastSentAt = performance.now();
        let lastReadAt = lastSentAt;
        while (!ended.aborted) {
          dirty = false;
          const beganAt = performance.now();
          const news = await telemetrySince(db, filter, snapshot, rowsInRead);
          // What a reader has not taken for so long is no longer looked for.
          const isLate = beganAt - lastReadAt > liveMs * 0.8;
          const left = news.left > 0 || isLate ? [slowReader(stackId, streams[0]!, news.left)] : [];
          snapshot = news.snapshot;
          lastReadAt = beganAt;
          const readMs = performance.now() - beganAt;
          const rows = news.rows.filter(({ id }) => !told.has(id));
          for (const message of messages(rows, left)) {
            yield message;
            lastSentAt = performance.now();
          }
          if (news.rows.length === 0 && !(await stackById(db, stackId))) return;
          if (performance.now() - lastSentAt > keepaliveMs) {
            yield create(TailStackResponseSchema);
            lastSentAt = performance.now();
          }
          await pause(Math.max(pauseMs, readMs * pausePerRead), ended);
          if (!dirty) await pause(rereadMs, ended, wake.promise);
          wake = Promise.withResolvers<void>();
        }
        if (principal.signal?.aborted) throw new Refusal('unauthenticated', 'the key is not valid');
        if (closing.aborted) throw new Refusal('unavailable', 'the broker is closing: connect again');
      } finally {
        unsubscribe();
        ended.removeEventListener('abort', touch);
      }
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
