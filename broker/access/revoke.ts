import { Refusal } from '../refusal.ts';
import { announce } from '../store/feed.ts';
import type { Tx } from '../store/orm.ts';
import type { PakRow } from './rules.ts';
import { countLiveAdmins, endKeys, findKey, keyById, lockKeysOf } from './store.ts';

/**
 * Ends a key at once, on every broker within about a second. The last key that may administer stays: without it nobody could make
 * another. A key that has ended already is answered as it is. Answers the key as it was, and as it is.
 */
export async function revokePak(tx: Tx, ref: string): Promise<{ before: PakRow; row: PakRow }> {
  const found = await findKey(tx, ref);
  if (found.role === 'ad') {
    await lockKeysOf(tx, { role: 'ad', name: found.owner });
    if (found.live && (await countLiveAdmins(tx, found.id)) === 0) {
      throw new Refusal('precondition', 'this is the last key that may administer: create another one first', {
        field: 'pak',
        reason: 'LAST_ADMIN_KEY',
      });
    }
  }
  await endKeys(tx, [found.id], 0);
  await announce(tx, 'key', [found.id]);
  return { before: found, row: await keyById(tx, found.id) };
}
