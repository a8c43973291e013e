import { Refusal } from '../refusal.ts';
import { checkEtag } from '../resource.ts';
import { announce } from '../store/feed.ts';
import type { Tx } from '../store/orm.ts';
import type { NewGenerator } from './create.ts';
import { type GeneratorRow, requireLive } from './rules.ts';
import * as store from './store.ts';

/** Locks a generator's row and reads it. FAILED_PRECONDITION when it is being deleted, ABORTED when it no longer has the etag. */
export async function lockGenerator(tx: Tx, ref: string, etag = ''): Promise<GeneratorRow> {
  const found = await store.findGenerator(tx, ref);
  await store.lockGeneratorRow(tx, found.id);
  const row = await store.generatorById(tx, found.id);
  requireLive(row);
  checkEtag(etag, row.version);
  return row;
}

/** Changes what is given of a generator. Its row lock must be held. Returns the new row. */
export async function updateGenerator(
  tx: Tx,
  { id, system }: GeneratorRow,
  change: Partial<Omit<NewGenerator, 'name'>>,
): Promise<GeneratorRow> {
  const { limits, quota, ...columns } = change;
  await store.updateGenerator(tx, id, columns);
  if (limits) {
    if (system) throw new Refusal('failed_precondition', 'the system generator has no rules', { field: 'rules' });
    await store.writeLimits(tx, id, limits);
    await announce(tx, 'stack', await store.stackIdsOf(tx, id));
  }
  if (quota) await store.writeQuota(tx, id, quota);
  return store.generatorById(tx, id);
}
