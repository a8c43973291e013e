import { detectRestore } from '../agent/lifecycle.ts';
import { readHighestOrder } from '../agent/lifecycle-store.ts';
import { outsideCall } from '../rpc/call.ts';
import type { Database } from '../store/database.ts';

/** The epoch and the highest order that an agent has seen; zero for none. */
interface Presented {
  readonly epoch: bigint;
  readonly order: bigint;
}

/** Time for which a read of the highest order is used. A database that was restored under a running broker is detected after this time. */
const cacheMs = 60_000;

/**
 * Creates a check of what agents present in their pulls. An agent that has seen more than the database contains shows that the database
 * was restored from a backup, and a new epoch begins. Orders only grow, so a recent read of the highest one answers most checks, and
 * concurrent checks share a read.
 */
export function createRestoreDetector(
  db: Database,
): (agent: { readonly id: string; readonly name: string }, presented: Presented, epoch: bigint) => Promise<void> {
  let known = { epoch: 0n, highestOrder: 0n, readAt: Number.NEGATIVE_INFINITY };
  let reading: Promise<void> | undefined;
  const read = async () => {
    const readAt = performance.now();
    known = { ...(await outsideCall(() => readHighestOrder(db))), readAt };
  };
  return async (agent, presented, epoch) => {
    if (presented.epoch === 0n && presented.order === 0n) return;
    const isKnown = () =>
      presented.epoch <= (epoch > known.epoch ? epoch : known.epoch) &&
      presented.order <= known.highestOrder &&
      performance.now() - known.readAt < cacheMs;
    if (isKnown()) return;
    reading ??= read().finally(() => {
      reading = undefined;
    });
    await reading;
    if (!isKnown()) await db.transact((tx) => detectRestore(tx, agent, presented, []));
  };
}
