import { createNote, operatorEntry } from '../audit/rules.ts';
import { insertEntries } from '../audit/store.ts';
import { Refusal } from '../refusal.ts';
import { announce } from '../store/feed.ts';
import type { Database, Tx } from '../store/orm.ts';
import { hashSecret } from './argon.ts';
import { makePak } from './pak.ts';
import { type KeyOwner, ownerOfKey, type PakRow, planEnds, recordPak } from './rules.ts';
import { endKeys, hasAdmins, insertKey, keyById, lockKeysOf, validKeysOf } from './store.ts';

const firstAdmin = 'admin';

export interface IssuedPak {
  /** The key itself. It is not stored, so it can be shown only now. */
  readonly pak: string;
  readonly row: PakRow;
}

/**
 * Issues a key, which expires at `expiresAt` if that is given. Of the keys that its owner already has, the latest ends after
 * `overlapMs` and the others end now; all brokers are notified.
 */
export async function issuePak(
  tx: Tx,
  owner: KeyOwner,
  { overlapMs = 0, expiresAt = null }: { overlapMs?: number; expiresAt?: Date | null } = {},
): Promise<IssuedPak> {
  await lockKeysOf(tx, owner);
  const { endNow, endLater } = planEnds(await validKeysOf(tx, owner), overlapMs);
  const { text, short } = makePak(owner.role);
  const row = await insertKey(tx, owner, { short, hash: await hashSecret(text), expiresAt });
  if (endNow.length > 0) await endKeys(tx, endNow, 0);
  if (endLater.length > 0) await endKeys(tx, endLater, overlapMs);
  await announce(tx, 'key', [...endNow, ...endLater]);
  return { pak: text, row };
}

/**
 * Replaces a key at its holder's request. The new key expires when the old one would have, so that nobody prolongs a key with a time
 * limit. FAILED_PRECONDITION for a key that was replaced already: during its overlap it must not end its replacement.
 */
export async function rotateOwnPak(tx: Tx, keyId: string, overlapMs: number): Promise<IssuedPak> {
  const owner = ownerOfKey(await keyById(tx, keyId));
  await lockKeysOf(tx, owner);
  const [latest] = await validKeysOf(tx, owner);
  if (latest?.id !== keyId) {
    throw new Refusal('failed_precondition', 'this key has been replaced: rotate the one that replaced it', {
      reason: 'KEY_REPLACED',
    });
  }
  return issuePak(tx, owner, { overlapMs, expiresAt: latest.expiresAt });
}

/** Issues a named admin key. ALREADY_EXISTS while a valid key has the name: that one can be rotated. */
export async function issueAdminPak(
  tx: Tx,
  owner: KeyOwner & { role: 'ad' | 'ro' },
  expiresAt: Date | null,
): Promise<IssuedPak> {
  await lockKeysOf(tx, owner);
  if ((await validKeysOf(tx, owner)).length > 0) {
    throw new Refusal('already_exists', `admin key "${owner.name}" exists`, { field: 'name', reason: 'NAME_TAKEN' });
  }
  return issuePak(tx, owner, { expiresAt });
}

/**
 * Issues the first admin key, named "admin", if there has never been one. It is handed to `deliver` before the commit, so that a key
 * which could not be delivered does not exist. Returns whether a key was issued.
 */
export async function issueFirstAdminPak(db: Database, deliver: (pak: string) => Promise<void>): Promise<boolean> {
  return db.transact(async (tx) => {
    const owner = { role: 'ad', name: firstAdmin } as const;
    await lockKeysOf(tx, owner);
    if (await hasAdmins(tx)) return false;
    const { pak, row } = await issuePak(tx, owner, { expiresAt: null });
    await recordIssued(tx, 'first-admin', row);
    await deliver(pak);
    return true;
  });
}

/**
 * Issues an admin key for an operator at the database, whether the name has keys or not. Valid keys of the name end after `overlapMs`,
 * by default now, because this is the way back in after a key was lost or leaked. With `deliver`, the key is handed over before the
 * commit: a key that could not be delivered does not exist and ends no other.
 */
export async function rotateAdminPak(
  db: Database,
  name: string,
  { overlapMs = 0, deliver }: { overlapMs?: number; deliver?: (pak: string) => Promise<void> } = {},
): Promise<string> {
  return db.transact(async (tx) => {
    const owner = { role: 'ad', name } as const;
    await lockKeysOf(tx, owner);
    if ((await validKeysOf(tx, owner)).some((key) => key.role === 'ro')) {
      throw new Refusal('already_exists', `"${name}" is a read-only key`, { field: 'name', reason: 'NAME_TAKEN' });
    }
    const { pak, row } = await issuePak(tx, owner, { overlapMs, expiresAt: null });
    await recordIssued(tx, 'rotate-admin', row);
    await deliver?.(pak);
    return pak;
  });
}

async function recordIssued(tx: Tx, action: string, row: PakRow): Promise<void> {
  const note = createNote();
  recordPak(note, row);
  await insertEntries(tx, [operatorEntry(action, note.read())]);
}
