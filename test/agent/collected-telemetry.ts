import pino from 'pino';
import { createOwnership } from '../../agent/inventory/object-owners.ts';
import type { ObjectId } from '../../agent/object/kube-object.ts';
import type { TelemetryItem } from '../../agent/telemetry/item.ts';
import { createTelemetry, type TelemetryLimits } from '../../agent/telemetry/telemetry.ts';
import { connect, type Lab, stackId } from './test-agent.ts';

/** The stack that everything is told of. */
export const mine = stackId('mine');

/** One item in short. */
export const words = (item: TelemetryItem) => {
  if (item.what === 'gap') return `gap of ${item.count}: ${item.reason}`;
  return item.what === 'line' ? item.text : `${item.event.object.kind} ${item.event.reason}`;
};

export interface Opened {
  readonly told: () => readonly TelemetryItem[];
  readonly texts: () => string[];
  readonly owns: (...ids: ObjectId[]) => void;
  readonly streams: () => number;
  close(): Promise<void>;
}

/** For tests: telemetry of a stack that has some objects; what it tells is taken at once. */
export function openTelemetry(
  { source }: Pick<Lab, 'source'>,
  more: { level?: 'off' | 'events' | 'all'; limits?: TelemetryLimits; account?: string } = {},
): Opened {
  const cluster = connect(source);
  const ownership = createOwnership();
  const telemetry = createTelemetry({
    level: more.level ?? 'all',
    cluster,
    namespace: '',
    ownership,
    accountOf: () => more.account ?? '',
    stackIds: () => [mine],
    log: pino({ level: 'silent' }),
    retry: { baseMs: 20, maxMs: 100 },
    ...(more.limits && { limits: more.limits }),
  });
  const ending = new AbortController();
  const running = telemetry.run(ending.signal);
  const told: TelemetryItem[] = [];
  const take = () => {
    for (let batch = telemetry.outbox.take(); batch; batch = telemetry.outbox.take()) {
      told.push(...batch.items);
      telemetry.outbox.received(batch.sequence);
    }
    return told;
  };
  return {
    told: take,
    texts: () => take().map(words),
    owns: (...ids) =>
      ownership.note(
        mine,
        ids.map((id) => ({ id, uid: '' })),
      ),
    streams: () => telemetry.streams,
    async close() {
      ending.abort();
      await running;
      cluster.close();
    },
  };
}
