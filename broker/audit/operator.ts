import type { Sql } from '../store/orm.ts';
import { type NewEntry, operator } from './rules.ts';
import { insertEntries } from './store.ts';

/** Records what an operator does at the database, about no single thing: in the transaction of the change, if it has one. */
export async function recordOperator(db: Sql, action: string): Promise<void> {
  const entry: NewEntry = {
    actor: operator,
    action,
    objectKind: 'installation',
    objectId: '',
    objectName: '',
    before: null,
    after: null,
    source: '',
    requestId: '',
    outcome: 'done',
    code: '',
    count: 1,
  };
  await insertEntries(db, [entry]);
}
