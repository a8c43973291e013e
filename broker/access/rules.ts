import { type Note, toColumns } from '../audit/rules.ts';
import { Refusal } from '../refusal.ts';

/** The two letters that a key's text carries: admin, read-only, generator, agent, enrollment. */
export type KeyRole = 'ad' | 'ro' | 'ge' | 'ag' | 'en';

/** Whom a key belongs to. An admin is identified by its name, an enrollment by the name of the agent that it will create. */
export type KeyOwner =
  | { readonly role: 'ad' | 'ro'; readonly name: string }
  | { readonly role: 'ge'; readonly generatorId: string }
  | { readonly role: 'ag'; readonly agentId: string }
  | { readonly role: 'en'; readonly name: string };

export interface PakRow {
  readonly id: string;
  /** The short token, without the role before it. */
  readonly short: string;
  readonly role: KeyRole;
  /** Id of the agent or generator; of an admin or an enrollment, of the key. */
  readonly ownerId: string;
  readonly owner: string;
  readonly createdAt: Date;
  readonly expiresAt: Date | null;
  readonly revokedAt: Date | null;
  readonly lastUsedAt: Date | null;
  /** True if the key was neither revoked nor expired, and its generator not deleted, when the row was read. */
  readonly isValid: boolean;
}

/** Returns the owner of a key: a rotation replaces all keys of this owner. */
export function ownerOfKey(row: PakRow): KeyOwner {
  switch (row.role) {
    case 'ad':
    case 'ro':
    case 'en':
      return { role: row.role, name: row.owner };
    case 'ge':
      return { role: 'ge', generatorId: row.ownerId };
    case 'ag':
      return { role: 'ag', agentId: row.ownerId };
  }
}

/** Returns the public part of a key's text: its role and short token. */
export function shortToken(row: PakRow): string {
  return `${row.role}${row.short}`;
}

/** Overlap of a rotation that names none: the old key stays valid for this long. */
export const defaultOverlapMs = 24 * 60 * 60_000;

/**
 * Decides which of an owner's valid keys, newest first, end when it gets a new one. The latest stays valid for the overlap and the
 * others end now, so that an owner has at most two.
 */
export function planEnds(
  validKeys: readonly PakRow[],
  overlapMs: number,
): { endNow: readonly string[]; endLater: readonly string[] } {
  const ids = validKeys.map((key) => key.id);
  return overlapMs === 0 ? { endNow: ids, endLater: [] } : { endNow: ids.slice(1), endLater: ids.slice(0, 1) };
}

/** Returns the answer to every key that does not work: it tells neither whether the key exists nor why it does not work. */
export function invalidKey(): Refusal {
  return new Refusal('unauthenticated', 'the key is not valid');
}

/** Notes for the audit log which key is new or, given its row from before, has changed. */
export function recordPak(note: Note, row: PakRow, before?: PakRow): void {
  note.about('pak', row.id, `${row.owner} (${shortToken(row)})`);
  if (before) note.before(toRecord(before));
  note.after(toRecord(row));
}

/** Leaves out what the use of a key changes. */
function toRecord({ lastUsedAt: _, isValid, ...row }: PakRow): object {
  return toColumns({ ...row, live: isValid });
}

/** Refuses an expiry that lies in the past. */
export function checkExpiry(expiresAt: Date | null, now: Date): void {
  if (expiresAt !== null && expiresAt <= now)
    throw new Refusal('invalid_argument', 'expire_time must lie in the future', { field: 'expire_time' });
}
