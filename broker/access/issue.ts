import { operatorEntry, takeNote } from '../audit/rules.ts';
import { insertEntries } from '../audit/store.ts';
import { Refusal } from '../refusal.ts';
import type { Database, Tx } from '../store/database.ts';
import { announce } from '../store/feed.ts';
import { hashSecret } from './argon.ts';
import { makePak } from './pak.ts';
import { endOthers, type KeyOwner, notePak, ownerOfKey, type PakRow } from './rules.ts';
import { endKeys, hasAdmins, insertKey, keyById, liveKeysOf, lockKeysOf } from './store.ts';

const firstAdmin = 'admin';

export interface MintedPak {
  /** The key itself; it is not stored, so this is the only time that it is known. */
  readonly pak: string;
  readonly row: PakRow;
}

/**
 * Makes a key, which ends at `expiresAt` if it is given. Those that its owner has already end: the latest after `overlapMs`, the
 * others now. Brokers learn which keys end.
 */
export async function mintPak(
  tx: Tx,
  owner: KeyOwner,
  { overlapMs = 0, expiresAt = null }: { overlapMs?: number; expiresAt?: Date | null } = {},
): Promise<MintedPak> {
  await lockKeysOf(tx, owner);
  const live = await liveKeysOf(tx, owner);
  const { endNow, endLater } = endOthers(live, overlapMs);
  const { text, short } = makePak(owner.role);
  const row = await insertKey(tx, owner, {
    short,
    hash: await hashSecret(text),
    expiresAt,
  });
  if (endNow.length > 0) await endKeys(tx, endNow, 0);
  if (endLater.length > 0) await endKeys(tx, endLater, overlapMs);
  await announce(tx, 'key', [...endNow, ...endLater]);
  return { pak: text, row };
}

/**
 * Replaces a key at its holder's wish. The new one ends when this one would have: nobody prolongs a key that was given for a time.
 * FAILED_PRECONDITION for a key that has been replaced already: in its overlap it must not end the one that took its place.
 */
export async function rotateOwnPak(tx: Tx, keyId: string, overlapMs: number): Promise<MintedPak> {
  const owner = ownerOfKey(await keyById(tx, keyId));
  await lockKeysOf(tx, owner);
  const [latest] = await liveKeysOf(tx, owner);
  if (latest?.id !== keyId) {
    throw new Refusal('failed_precondition', 'this key has been replaced: rotate the one that replaced it', {
      reason: 'KEY_REPLACED',
    });
  }
  return mintPak(tx, owner, { overlapMs, expiresAt: latest.expires_at });
}

/** Makes a named admin key. ALREADY_EXISTS while a live one has the name: rotate that one. */
export async function mintAdminPak(
  tx: Tx,
  owner: KeyOwner & { role: 'ad' | 'ro' },
  expiresAt: Date | null,
): Promise<MintedPak> {
  await lockKeysOf(tx, owner);
  if ((await liveKeysOf(tx, owner)).length > 0) {
    throw new Refusal('already_exists', `admin key "${owner.name}" exists`, { field: 'name', reason: 'NAME_TAKEN' });
  }
  return mintPak(tx, owner, { expiresAt });
}

/**
 * Makes the first admin key, named "admin", when there has never been one, and hands it to `deliver` before the commit: a key that
 * could not be delivered was never made. Returns whether it was made.
 */
export async function firstAdminPak(db: Database, deliver: (pak: string) => Promise<void>): Promise<boolean> {
  return db.transact(async (tx) => {
    const owner = { role: 'ad', name: firstAdmin } as const;
    await lockKeysOf(tx, owner);
    if (await hasAdmins(tx)) return false;
    const { pak, row } = await mintPak(tx, owner, { expiresAt: null });
    await recordMinted(tx, 'first-admin', row);
    await deliver(pak);
    return true;
  });
}

/**
 * For the operator at the database: a new admin key under a name, made if need be; live ones of the name end after `overlapMs`
 * (by default now: it is the way back in after a key was lost or leaked). Given `deliver`, the key is handed to it before the commit:
 * a key that could not be delivered was never made, and ends no other.
 */
export async function rotateAdmin(
  db: Database,
  name: string,
  { overlapMs = 0, deliver }: { overlapMs?: number; deliver?: (pak: string) => Promise<void> } = {},
): Promise<string> {
  return db.transact(async (tx) => {
    const owner = { role: 'ad', name } as const;
    await lockKeysOf(tx, owner);
    if ((await liveKeysOf(tx, owner)).some((key) => key.role === 'ro')) {
      throw new Refusal('already_exists', `"${name}" is a read-only key`, { field: 'name', reason: 'NAME_TAKEN' });
    }
    const { pak, row } = await mintPak(tx, owner, { overlapMs, expiresAt: null });
    await recordMinted(tx, 'rotate-admin', row);
    await deliver?.(pak);
    return pak;
  });
}

async function recordMinted(tx: Tx, action: string, row: PakRow): Promise<void> {
  const note = takeNote();
  notePak(note, row);
  await insertEntries(tx, [operatorEntry(action, note.read())]);
}
