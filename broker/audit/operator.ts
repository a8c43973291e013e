import type { Sql } from '../store/database.ts';
import { operatorEntry } from './rules.ts';
import { insertEntries } from './store.ts';

/** Records what an operator does at the database, about no single thing: in the transaction of the change, if it has one. */
export async function recordOperator(db: Sql, action: string): Promise<void> {
  await insertEntries(db, [operatorEntry(action)]);
}
