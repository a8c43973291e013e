import type { Note } from '../audit/rules.ts';
import { Refusal } from '../refusal.ts';

/** Two letters that a key's text carries; `en` is for enrollment. */
export type KeyRole = 'ad' | 'ro' | 'ge' | 'ag' | 'en';

/** Whom a key is for. An admin's identity is its name; an enrollment has that of the agent it is to make. */
export type KeyOwner =
  | { readonly role: 'ad' | 'ro'; readonly name: string }
  | { readonly role: 'ge'; readonly generatorId: string }
  | { readonly role: 'ag'; readonly agentId: string }
  | { readonly role: 'en'; readonly name: string };

export interface PakRow {
  readonly id: string;
  readonly short: string;
  readonly role: KeyRole;
  /** Id of the agent or generator; of an admin or an enrollment, of the key. */
  readonly owner_id: string;
  readonly owner: string;
  readonly created_at: Date;
  readonly expires_at: Date | null;
  readonly revoked_at: Date | null;
  readonly last_used_at: Date | null;
  /** Neither revoked nor expired, and its owner is live, when the row was read. */
  readonly live: boolean;
}

/** Returns the owner of a key: a rotation replaces all keys of this owner. */
export function ownerOfKey(row: PakRow): KeyOwner {
  switch (row.role) {
    case 'ad':
    case 'ro':
    case 'en':
      return { role: row.role, name: row.owner };
    case 'ge':
      return { role: 'ge', generatorId: row.owner_id };
    case 'ag':
      return { role: 'ag', agentId: row.owner_id };
  }
}

/** Returns the public part of a key's text. */
export function shortToken(row: PakRow): string {
  return `${row.role}${row.short}`;
}

/** How long the old key goes on working after a rotation, if nothing else is asked for. */
export const usualOverlapMs = 24 * 60 * 60_000;

/**
 * What a new key means for an owner's live ones, newest first: the latest goes on for the overlap and the others end now, so that
 * there are at most two.
 */
export function endOthers(
  live: readonly PakRow[],
  overlapMs: number,
): { endNow: readonly string[]; endLater: readonly string[] } {
  const ids = live.map((key) => key.id);
  return overlapMs === 0 ? { endNow: ids, endLater: [] } : { endNow: ids.slice(1), endLater: ids.slice(0, 1) };
}

/** The one answer to every key that does not work: it tells neither whether the key exists nor why it does not work. */
export function invalidKey(): Refusal {
  return new Refusal('unauthenticated', 'the key is not valid');
}

/** Says for the record which key is new, or, with what it was before, has changed. */
export function notePak(note: Note, row: PakRow, before?: PakRow): void {
  note.about('pak', row.id, `${row.owner} (${row.role}${row.short})`);
  if (before) note.before(recorded(before));
  note.after(recorded(row));
}

/** A key without what its use changes. */
function recorded({ last_used_at: _, ...row }: PakRow): Omit<PakRow, 'last_used_at'> {
  return row;
}

export function checkExpiry(expiresAt: Date | null, now: Date): void {
  if (expiresAt !== null && expiresAt <= now)
    throw new Refusal('invalid_argument', 'expire_time must lie in the future', { field: 'expire_time' });
}
