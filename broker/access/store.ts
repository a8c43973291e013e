import { defineEntity, p } from '@mikro-orm/postgresql';
import { v7 as uuid } from 'uuid';
import { Refusal } from '../refusal.ts';
import type { Database, Sql, Tx } from '../store/database.ts';
import { invalidKey, type KeyOwner, type PakRow } from './rules.ts';

const PakEntity = defineEntity({
  name: 'Pak',
  tableName: 'pak',
  properties: {
    id: p.uuid().primary(),
    short: p.string(),
    hash: p.string(),
    role: p.string(),
    agentId: p.uuid().fieldName('agent_id').nullable(),
    generatorId: p.uuid().fieldName('generator_id').nullable(),
    name: p.string(),
    expiresAt: p.datetime().fieldName('expires_at').nullable(),
  },
});

export const entities = [PakEntity];

// The hash is left out: only the verification reads it.
const columns = `k.id, k.short, k.role, coalesce(k.agent_id, k.generator_id, k.id) as "ownerId", coalesce(a.name, g.name, k.name) as owner,
  k.created_at as "createdAt", k.expires_at as "expiresAt", k.revoked_at as "revokedAt", k.last_used_at as "lastUsedAt",
  k.revoked_at is null and (k.expires_at is null or k.expires_at > now()) and g.deleted_at is null as "isValid"`;
const from = 'from pak k left join agent a on a.id = k.agent_id left join generator g on g.id = k.generator_id';
const isValid = '(k.revoked_at is null and (k.expires_at is null or k.expires_at > now()))';
const isOwned = `case when $1 in ('ad', 'ro') then k.role in ('ad', 'ro') and k.name = $2 when $1 = 'en' then k.role = 'en' and k.name = $2
  else $2 in (k.agent_id::text, k.generator_id::text) end`;

/** Finds a key by its short token, with its hash, whether it is valid or not. */
export async function keyByShort(
  db: Database,
  short: string,
): Promise<(PakRow & { readonly hash: string }) | undefined> {
  const [row] = await db.read<PakRow & { hash: string }>(
    'pak-by-short',
    `select ${columns}, k.hash ${from} where k.short = $1`,
    [short],
  );
  return row;
}

/** Returns those of the short tokens that belong to valid keys. */
export async function validShortTokens(db: Database, tokens: readonly string[]): Promise<ReadonlySet<string>> {
  const rows = await db.read<{ short: string }>(
    'pak-valid-shorts',
    `select k.short from pak k where k.short = any($1) and ${isValid}`,
    [tokens],
  );
  return new Set(rows.map((row) => row.short));
}

/** Reads keys as they are now, in one statement; a deleted key is left out. */
export async function readKeys(db: Database, ids: readonly string[]): Promise<PakRow[]> {
  return db.read<PakRow>('paks-by-id', `select ${columns} ${from} where k.id = any($1)`, [ids]);
}

/**
 * Refuses a key that was revoked or has expired, whatever a cache still says. As the first statement of every mutation, it makes
 * sure that no change commits after the revocation of its key.
 */
export async function requireValidKey(tx: Sql, keyId: string): Promise<void> {
  const rows = await tx.sql(
    'select 1 from pak where id = $1 and revoked_at is null and (expires_at is null or expires_at > now())',
    [keyId],
  );
  if (rows.length === 0) throw invalidKey();
}

/** Reads a key, valid or not. NOT_FOUND when it is gone. */
export async function keyById(db: Sql, id: string): Promise<PakRow> {
  const [row] = await db.sql<PakRow>(`select ${columns} ${from} where k.id = $1`, [id]);
  if (!row) throw new Refusal('not_found', 'key not found');
  return row;
}

/** Finds a key by its id, or by its short token with or without the role before it. NOT_FOUND otherwise. */
export async function findKey(db: Sql, ref: string): Promise<PakRow> {
  const [row] = await db.sql<PakRow>(
    `select ${columns} ${from} where k.short = $1 or k.role || k.short = $1 or k.id::text = $1`,
    [ref],
  );
  if (!row) throw new Refusal('not_found', `key "${ref}" not found`, { field: 'pak' });
  return row;
}

export interface KeyFilter {
  /** Name or id of an agent, generator or admin key; empty means all. */
  readonly owner: string;
  readonly showEnded: boolean;
  readonly after: readonly string[] | undefined;
  readonly limit: number;
}

/** Lists keys, oldest first, at most `limit`: ids are ordered by time. */
export async function listKeys(db: Sql, filter: KeyFilter): Promise<PakRow[]> {
  return db.sql<PakRow>(
    `select ${columns} ${from}
     where ($1 = '' or coalesce(a.name, g.name, k.name) = $1 or coalesce(k.agent_id, k.generator_id, k.id)::text = $1)
       and ($2 or (${isValid} and g.deleted_at is null)) and ($3::uuid is null or k.id > $3)
     order by k.id limit $4`,
    [filter.owner, filter.showEnded, filter.after?.[0] ?? null, filter.limit],
  );
}

/** Serialises changes of one owner's keys. All admins share one lock, so that the last admin key can be told. */
export async function lockKeysOf(tx: Tx, owner: KeyOwner): Promise<void> {
  const name = owner.role === 'ad' || owner.role === 'ro' ? 'admins' : identityOf(owner);
  await tx.sql(`select pg_advisory_xact_lock(hashtextextended('brokkr keys ' || current_schema() || ' ' || $1, 0))`, [
    name,
  ]);
}

/** Lists an owner's valid keys, newest first. */
export async function validKeysOf(tx: Tx, owner: KeyOwner): Promise<PakRow[]> {
  return tx.sql<PakRow>(`select ${columns} ${from} where ${isOwned} and ${isValid} order by k.id desc`, [
    owner.role,
    identityOf(owner),
  ]);
}

/** Answers whether another admin key is valid for at least as long as this one. */
export async function hasLastingAdmin(tx: Tx, keyId: string): Promise<boolean> {
  const rows = await tx.sql(
    `select 1 from pak k join pak own on own.id = $1
     where k.role = 'ad' and ${isValid} and k.id <> own.id
       and coalesce(k.expires_at, 'infinity') >= coalesce(own.expires_at, 'infinity') limit 1`,
    [keyId],
  );
  return rows.length > 0;
}

/** Answers whether there has ever been an admin key, valid or not. */
export async function hasAdmins(db: Sql): Promise<boolean> {
  return (await db.sql(`select 1 from pak where role = 'ad' limit 1`)).length > 0;
}

/** Writes a new key. Returns its row. */
export async function insertKey(
  tx: Tx,
  owner: KeyOwner,
  key: { short: string; hash: string; expiresAt: Date | null },
): Promise<PakRow> {
  const id = uuid();
  await tx.em.insert(PakEntity, {
    id,
    ...key,
    role: owner.role,
    agentId: owner.role === 'ag' ? owner.agentId : null,
    generatorId: owner.role === 'ge' ? owner.generatorId : null,
    name: 'name' in owner ? owner.name : '',
  });
  return keyById(tx, id);
}

/** Lets keys expire after `afterMs`, or revokes them when it is 0. Never prolongs a key. */
export async function endKeys(tx: Tx, ids: readonly string[], afterMs: number): Promise<void> {
  const change =
    afterMs === 0
      ? 'revoked_at = now()'
      : `expires_at = least(expires_at, now() + $2::float8 * interval '1 millisecond')`;
  await tx.sql(
    `update pak set ${change} where id = any($1) and revoked_at is null`,
    afterMs === 0 ? [ids] : [ids, afterMs],
  );
}

/** Revokes all keys of a generator. Returns their ids. */
export async function revokeGeneratorKeys(tx: Tx, generatorId: string): Promise<string[]> {
  const rows = await tx.sql<{ id: string }>(
    'update pak set revoked_at = now() where generator_id = $1 and revoked_at is null returning id',
    [generatorId],
  );
  return rows.map((row) => row.id);
}

/** Returns the ids of an agent's keys, which are deleted with its row. */
export async function keyIdsOfAgent(tx: Tx, agentId: string): Promise<string[]> {
  const rows = await tx.sql<{ id: string }>('select id from pak where agent_id = $1', [agentId]);
  return rows.map((row) => row.id);
}

/**
 * Writes when keys were last used, in one statement. A key that another broker has written within the minute is left out, and so is a
 * locked row: two brokers that write the same keys in different orders never wait for each other.
 */
export async function writeLastUse(db: Database, lastUses: ReadonlyMap<string, Date>): Promise<void> {
  await db.read(
    'pak-last-use',
    `with used as (
       select k.id, u.at from pak k join unnest($1::uuid[], $2::timestamptz[]) as u(id, at) on u.id = k.id
       where k.last_used_at is null or k.last_used_at <= u.at - interval '1 minute' order by k.id for no key update of k skip locked)
     update pak k set last_used_at = used.at from used where used.id = k.id`,
    [[...lastUses.keys()], [...lastUses.values()]],
  );
}

function identityOf(owner: KeyOwner): string {
  if (owner.role === 'ag') return owner.agentId;
  return owner.role === 'ge' ? owner.generatorId : owner.name;
}
