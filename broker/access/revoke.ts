import { Refusal } from '../refusal.ts';
import { announce } from '../store/feed.ts';
import type { Tx } from '../store/orm.ts';
import type { PakRow } from './rules.ts';
import { endKeys, findKey, hasLastingAdmin, keyById, lockKeysOf } from './store.ts';

/**
 * Revokes a key; every broker notices within about a second. FAILED_PRECONDITION for the last admin key, and for one that all others
 * expire before: without it, nobody could issue another. A key that has ended already stays as it is. Returns the key's row from
 * before and after.
 */
export async function revokePak(tx: Tx, ref: string): Promise<{ before: PakRow; row: PakRow }> {
  const found = await findKey(tx, ref);
  if (found.role === 'ad') {
    await lockKeysOf(tx, { role: 'ad', name: found.owner });
    if (found.isValid && !(await hasLastingAdmin(tx, found.id))) {
      throw new Refusal(
        'failed_precondition',
        'this is the last admin key, or all others expire sooner: create another one first',
        {
          field: 'pak',
          reason: 'LAST_ADMIN_KEY',
        },
      );
    }
  }
  await endKeys(tx, [found.id], 0);
  await announce(tx, 'key', [found.id]);
  return { before: found, row: await keyById(tx, found.id) };
}
