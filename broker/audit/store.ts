import type { Sql, Tx } from '../store/database.ts';
import type { NewEntry, SealedText } from './rules.ts';

/** Writes entries, all in one statement. */
export async function insertEntries(db: Sql, entries: readonly NewEntry[]): Promise<void> {
  if (entries.length === 0) return;
  const rows = entries.map((entry) => ({
    actor_role: entry.actor.role,
    actor_id: entry.actor.id,
    actor_name: entry.actor.name,
    key_short: entry.actor.shortToken,
    action: entry.action,
    object_kind: entry.objectKind,
    object_id: entry.objectId,
    object_name: entry.objectName,
    before_digest: hex(entry.before),
    after_digest: hex(entry.after),
    source: entry.source,
    request_id: entry.requestId,
    outcome: entry.outcome,
    code: entry.code,
    count: entry.count,
  }));
  await db.sql(
    `insert into audit (actor_role, actor_id, actor_name, key_short, action, object_kind, object_id, object_name, before_digest,
       after_digest, source, request_id, outcome, code, count)
     select actor_role, actor_id, actor_name, key_short, action, object_kind, object_id, object_name, decode(before_digest, 'hex'),
       decode(after_digest, 'hex'), source, request_id, outcome, code, count
     from jsonb_to_recordset($1::jsonb) as e(actor_role text, actor_id uuid, actor_name text, key_short text, action text,
       object_kind text, object_id text, object_name text, before_digest text, after_digest text, source text, request_id text,
       outcome text, code text, count int)`,
    [JSON.stringify(rows)],
  );
}

function hex(digest: Uint8Array | null): string | null {
  return digest === null ? null : Buffer.from(digest).toString('hex');
}

/** The columns that a seal covers, as text: what `hashEntry` hashes. Times in UTC, to the microsecond. */
const sealedColumns = `array[a.id::text, to_char(a.at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US'), a.actor_role, a.actor_id::text,
  a.actor_name, a.key_short, a.action, a.object_kind, a.object_id, a.object_name, encode(a.before_digest, 'hex'),
  encode(a.after_digest, 'hex'), a.source, a.request_id, a.outcome, a.code, a.count::text]`;

interface SealedEntry {
  readonly id: string;
  readonly columns: SealedText;
}

/** What waits for a seal; `columns` is undefined for an entry that somebody took away meanwhile. */
export interface UnsealedEntry {
  readonly id: string;
  readonly columns: SealedText | undefined;
}

/** These entries, all of one day, by id; missing ones are missing. */
export async function readSealed(db: Sql, day: string, ids: readonly string[]): Promise<Map<string, SealedText>> {
  // The day spares a look into the partitions of all others.
  const rows = await db.sql<SealedEntry>(
    `select a.id, ${sealedColumns} as columns from audit a
     where a.id = any($1) and a.at >= $2::date::timestamp at time zone 'utc' and a.at < ($2::date + 1)::timestamp at time zone 'utc'`,
    [ids, day],
  );
  return new Map(rows.map((row) => [row.id, row.columns]));
}

/** The oldest entries that no seal closes, of one day, at most `limit`; they are taken off the queue. */
export async function takeUnsealed(
  tx: Tx,
  limit: number,
): Promise<{ day: string; entries: UnsealedEntry[] } | undefined> {
  const taken = await tx.sql<{ audit_id: string; day: string }>(
    `delete from audit_unsealed where audit_id in (
       select audit_id from audit_unsealed where day = (select min(day) from audit_unsealed) order by audit_id limit $1)
     returning audit_id, day::text as day`,
    [limit],
  );
  const [first] = taken;
  if (!first) return undefined;
  const ids = taken.map((row) => row.audit_id);
  const found = await readSealed(tx, first.day, ids);
  const entries = ids.sort((a, b) => (BigInt(a) < BigInt(b) ? -1 : 1)).map((id) => ({ id, columns: found.get(id) }));
  return { day: first.day, entries };
}

export interface SealRow {
  readonly sequence: string;
  readonly day: string;
  readonly ids: string[];
  readonly row_hashes: Buffer;
  readonly hash: Buffer;
}

/** One sealer at a time, over all brokers; false when another one is at it. */
export async function lockSealer(tx: Tx): Promise<boolean> {
  const [row] = await tx.sql<{ locked: boolean }>(
    `select pg_try_advisory_xact_lock(hashtextextended('brokkr audit seal ' || current_schema(), 0)) as locked`,
  );
  return row?.locked ?? false;
}

export interface ChainEnd {
  readonly sequence: string;
  readonly hash: Buffer;
}

/** Where the chain ends: the last seal, or what is left of the first days. */
export async function chainHead(db: Sql): Promise<ChainEnd | undefined> {
  const [row] = await db.sql<ChainEnd>(
    `(select sequence, hash from audit_seal order by sequence desc limit 1)
     union all (select sequence, hash from audit_base) order by sequence desc limit 1`,
  );
  return row;
}

/** Where the chain begins: the last seal that was dropped with its day; undefined while it is whole. */
export async function chainBase(db: Sql): Promise<ChainEnd | undefined> {
  const [row] = await db.sql<ChainEnd>('select sequence, hash from audit_base');
  return row;
}

export async function insertSeal(
  tx: Tx,
  seal: { sequence: bigint; day: string; ids: readonly string[]; rowHashes: Buffer; hash: Buffer },
): Promise<void> {
  await tx.sql('insert into audit_seal (sequence, day, ids, row_hashes, hash) values ($1, $2, $3, $4, $5)', [
    seal.sequence,
    seal.day,
    seal.ids,
    seal.rowHashes,
    seal.hash,
  ]);
}

/** Seals after a sequence number, in order, at most `limit`. */
export async function readSeals(db: Sql, after: string, limit: number): Promise<SealRow[]> {
  return db.sql<SealRow>(
    'select sequence, day::text as day, ids, row_hashes, hash from audit_seal where sequence > $1 order by sequence limit $2',
    [after, limit],
  );
}

export interface Balance {
  readonly entries: string;
  /** Entries that seals name, and those that wait for one: together they must be all. */
  readonly sealed: string;
  readonly unsealed: string;
  readonly oldest_unsealed: Date | null;
  /** The first that waits for a seal and is not there. */
  readonly lost: string | null;
}

/** Counts entries and what accounts for them, in one snapshot. */
export async function balance(db: Sql): Promise<Balance> {
  const [row] = await db.sql<Balance>(
    `select (select count(*) from audit) as entries, (select coalesce(sum(cardinality(ids)), 0) from audit_seal) as sealed,
       count(a.id) as unsealed, min(a.at) as oldest_unsealed, min(u.audit_id) filter (where a.id is null) as lost
     from audit_unsealed u left join audit a on a.id = u.audit_id`,
  );
  return row ?? { entries: '0', sealed: '0', unsealed: '0', oldest_unsealed: null, lost: null };
}

/** The first entry that no seal names and that waits for none: it was not written by the broker. */
export async function firstStranger(db: Sql): Promise<string | undefined> {
  const [row] = await db.sql<{ id: string }>(
    `select a.id from audit a
     where not exists (select from audit_unsealed u where u.audit_id = a.id)
       and not exists (select from audit_seal s where s.ids @> array[a.id]) order by a.id limit 1`,
  );
  return row?.id;
}

/** Whether there is an entry with this id, of whatever day. */
export async function entryExists(db: Sql, id: string): Promise<boolean> {
  return (await db.sql('select 1 from audit where id = $1', [id])).length > 0;
}

export interface EntryRow {
  readonly id: string;
  readonly at: Date;
  readonly actor_role: NewEntry['actor']['role'];
  readonly actor_id: string | null;
  readonly actor_name: string;
  readonly key_short: string;
  readonly action: string;
  readonly object_kind: string;
  readonly object_id: string;
  readonly object_name: string;
  readonly before_digest: Buffer | null;
  readonly after_digest: Buffer | null;
  readonly source: string;
  readonly request_id: string;
  readonly outcome: 'done' | 'denied';
  readonly code: string;
  readonly count: number;
  readonly seal: string | null;
}

export interface EntryFilter {
  readonly actor: string;
  readonly action: string;
  readonly objectKind: string;
  readonly object: string;
  readonly outcome: 'done' | 'denied' | undefined;
  readonly from: Date | undefined;
  readonly until: Date | undefined;
  readonly oldestFirst: boolean;
  readonly after: readonly string[] | undefined;
  readonly limit: number;
}

/** Entries in order of their id, at most `limit`. */
export async function listEntries(db: Sql, filter: EntryFilter): Promise<EntryRow[]> {
  const [compare, direction] = filter.oldestFirst ? ['>', 'asc'] : ['<', 'desc'];
  return db.sql<EntryRow>(
    `with page as (
       select * from audit a
       where ($1 = '' or a.actor_name = $1 or a.actor_id::text = $1) and ($2 = '' or a.action = $2)
         and ($3 = '' or a.object_kind = $3) and ($4 = '' or a.object_name = $4 or a.object_id = $4)
         and ($5::text is null or a.outcome = $5) and ($6::timestamptz is null or a.at >= $6)
         and ($7::timestamptz is null or a.at < $7) and ($8::bigint is null or a.id ${compare} $8)
       order by a.id ${direction} limit $9)
     select page.*, s.sequence as seal from page
     left join lateral (select sequence from audit_seal where ids @> array[page.id] limit 1) s on true
     order by page.id ${direction}`,
    [
      filter.actor,
      filter.action,
      filter.objectKind,
      filter.object,
      filter.outcome ?? null,
      filter.from ?? null,
      filter.until ?? null,
      filter.after?.[0] ?? null,
      filter.limit,
    ],
  );
}
