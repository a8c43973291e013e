import { Refusal } from '../refusal.ts';
import type { Tx } from '../store/database.ts';
import { announce } from '../store/feed.ts';
import type { PakRow } from './rules.ts';
import { endKeys, findKey, hasLastingAdmin, keyById, lockKeysOf } from './store.ts';

/**
 * Ends a key at once, on every broker within about a second. The last key that may administer stays, and so does one that all others
 * end before: without it nobody could make another. A key that has ended already is answered as it is. Answers the key as it was, and as it is.
 */
export async function revokePak(tx: Tx, ref: string): Promise<{ before: PakRow; row: PakRow }> {
  const found = await findKey(tx, ref);
  if (found.role === 'ad') {
    await lockKeysOf(tx, { role: 'ad', name: found.owner });
    if (found.live && !(await hasLastingAdmin(tx, found.id))) {
      throw new Refusal(
        'failed_precondition',
        'this is the last key that may administer, but for such as end sooner: create another one first',
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
