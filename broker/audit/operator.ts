import type { Sql } from '../store/orm.ts';
import { operatorEntry } from './rules.ts';
import { insertEntries } from './store.ts';

/** Records an operator's action at the database that concerns the installation as a whole, in the transaction of `db` if it has one. */
export async function recordOperator(db: Sql, action: string): Promise<void> {
  await insertEntries(db, [operatorEntry(action)]);
}
