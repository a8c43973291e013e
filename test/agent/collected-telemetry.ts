import pino from 'pino';
import { createOwnership } from '../../agent/inventory/object-owners.ts';
import type { ObjectId } from '../../agent/object/kube-object.ts';
import type { TelemetryItem } from '../../agent/telemetry/item.ts';
import { createTelemetry, type TelemetryLimits } from '../../agent/telemetry/telemetry.ts';
import { connect, stackId, type TestCluster } from './test-agent.ts';

/** The stack that owns every object of these tests. */
export const ownStack = stackId('mine');

/** Summarizes one item. */
export const describeItem = (item: TelemetryItem) => {
  if (item.type === 'gap') return `gap of ${item.count}: ${item.reason}`;
  return item.type === 'line' ? item.text : `${item.event.object.kind} ${item.event.reason}`;
};

export interface CollectedTelemetry {
  readonly items: () => readonly TelemetryItem[];
  readonly texts: () => string[];
  readonly own: (...ids: ObjectId[]) => void;
  readonly streams: () => number;
  close(): Promise<void>;
}

/** Runs telemetry for a stack that owns some objects, and acknowledges every batch at once. */
export function collectTelemetry(
  { source }: Pick<TestCluster, 'source'>,
  more: { level?: 'off' | 'events' | 'all'; limits?: TelemetryLimits; account?: string } = {},
): CollectedTelemetry {
  const cluster = connect(source);
  const ownership = createOwnership();
  const telemetry = createTelemetry({
    level: more.level ?? 'all',
    cluster,
    namespace: '',
    ownership,
    accountOf: () => more.account ?? '',
    stackIds: () => [ownStack],
    log: pino({ level: 'silent' }),
    retry: { baseMs: 20, maxMs: 100 },
    ...(more.limits && { limits: more.limits }),
  });
  const ending = new AbortController();
  const running = telemetry.run(ending.signal);
  const items: TelemetryItem[] = [];
  const take = () => {
    for (let batch = telemetry.outbox.take(); batch; batch = telemetry.outbox.take()) {
      items.push(...batch.items);
      telemetry.outbox.acknowledge(batch.sequence);
    }
    return items;
  };
  return {
    items: take,
    texts: () => take().map(describeItem),
    own: (...ids) =>
      ownership.note(
        ownStack,
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
