import type { Sql, Tx } from '../store/orm.ts';
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

/** The columns that a seal covers, as text for `hashEntry`. Times are in UTC, to the microsecond. */
const sealedColumns = `array[a.id::text, to_char(a.at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US'), a.actor_role, a.actor_id::text,
  a.actor_name, a.key_short, a.action, a.object_kind, a.object_id, a.object_name, encode(a.before_digest, 'hex'),
  encode(a.after_digest, 'hex'), a.source, a.request_id, a.outcome, a.code, a.count::text]`;

interface SealedEntry {
  readonly id: string;
  readonly columns: SealedText;
}

/** An entry without a seal; `columns` is undefined when somebody removed the entry meanwhile. */
export interface UnsealedEntry {
  readonly id: string;
  readonly columns: SealedText | undefined;
}

/** Reads entries of one day, by id; those that are missing are left out. */
export async function readSealed(db: Sql, day: string, ids: readonly string[]): Promise<Map<string, SealedText>> {
  // The day limits the query to one partition.
  const rows = await db.sql<SealedEntry>(
    `select a.id, ${sealedColumns} as columns from audit a
     where a.id = any($1) and a.at >= $2::date::timestamp at time zone 'utc' and a.at < ($2::date + 1)::timestamp at time zone 'utc'`,
    [ids, day],
  );
  return new Map(rows.map((row) => [row.id, row.columns]));
}

/** Takes the oldest entries without a seal off the queue: of one day, at most `limit`. Undefined when there are none. */
export async function takeUnsealed(
  tx: Tx,
  limit: number,
): Promise<{ day: string; entries: UnsealedEntry[] } | undefined> {
  const rows = await tx.sql<{ id: string; day: string }>(
    `delete from audit_unsealed where audit_id in (
       select audit_id from audit_unsealed where day = (select min(day) from audit_unsealed) order by audit_id limit $1)
     returning audit_id as id, day::text as day`,
    [limit],
  );
  const [first] = rows;
  if (!first) return undefined;
  const ids = rows.map((row) => row.id);
  const columnsById = await readSealed(tx, first.day, ids);
  const sortedIds = ids.sort((a, b) => (BigInt(a) < BigInt(b) ? -1 : 1));
  const entries = sortedIds.map((id) => ({ id, columns: columnsById.get(id) }));
  return { day: first.day, entries };
}

export interface SealRow {
  readonly sequence: string;
  readonly day: string;
  readonly ids: string[];
  readonly rowHashes: Buffer;
  readonly hash: Buffer;
}

/** Takes the lock of the only sealer among all brokers. False when another sealer holds it. */
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

/** Reads the end of the chain: the last seal, or the base when there is no seal after it. */
export async function chainHead(db: Sql): Promise<ChainEnd | undefined> {
  const [row] = await db.sql<ChainEnd>(
    `(select sequence, hash from audit_seal order by sequence desc limit 1)
     union all (select sequence, hash from audit_base) order by sequence desc limit 1`,
  );
  return row;
}

/** Reads the beginning of the chain: the last seal that was dropped with its day; undefined while none was dropped. */
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

/** Reads the seals after a sequence number, in order, at most `limit`. */
export async function readSeals(db: Sql, after: string, limit: number): Promise<SealRow[]> {
  return db.sql<SealRow>(
    'select sequence, day::text as day, ids, row_hashes as "rowHashes", hash from audit_seal where sequence > $1 order by sequence limit $2',
    [after, limit],
  );
}

export interface AuditCounts {
  readonly entries: string;
  /** Entries that seals name, and those without a seal: together they must be all. */
  readonly sealed: string;
  readonly unsealed: string;
  readonly oldestUnsealedAt: Date | null;
  /** The first entry on the queue that does not exist; null when all do. */
  readonly missing: string | null;
}

/** Counts all entries, and those that a seal or the queue accounts for, in one snapshot. */
export async function countEntries(db: Sql): Promise<AuditCounts> {
  const [row] = await db.sql<AuditCounts>(
    `select (select count(*) from audit) as entries, (select coalesce(sum(cardinality(ids)), 0) from audit_seal) as sealed,
       count(a.id) as unsealed, min(a.at) as "oldestUnsealedAt", min(u.audit_id) filter (where a.id is null) as missing
     from audit_unsealed u left join audit a on a.id = u.audit_id`,
  );
  return row ?? { entries: '0', sealed: '0', unsealed: '0', oldestUnsealedAt: null, missing: null };
}

/** Finds the first entry that neither a seal nor the queue names: the broker did not write it. */
export async function firstUnaccountedEntry(db: Sql): Promise<string | undefined> {
  const [row] = await db.sql<{ id: string }>(
    `select a.id from audit a
     where not exists (select from audit_unsealed u where u.audit_id = a.id)
       and not exists (select from audit_seal s where s.ids @> array[a.id]) order by a.id limit 1`,
  );
  return row?.id;
}

/** Answers whether an entry with this id exists, on whatever day. */
export async function entryExists(db: Sql, id: string): Promise<boolean> {
  return (await db.sql('select 1 from audit where id = $1', [id])).length > 0;
}

export interface EntryRow {
  readonly id: string;
  readonly at: Date;
  readonly actorRole: NewEntry['actor']['role'];
  readonly actorId: string | null;
  readonly actorName: string;
  readonly keyShort: string;
  readonly action: string;
  readonly objectKind: string;
  readonly objectId: string;
  readonly objectName: string;
  readonly beforeDigest: Buffer | null;
  readonly afterDigest: Buffer | null;
  readonly source: string;
  readonly requestId: string;
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

/** Lists entries in order of their ids, at most `limit`. */
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
     select page.id, page.at, page.actor_role as "actorRole", page.actor_id as "actorId", page.actor_name as "actorName",
       page.key_short as "keyShort", page.action, page.object_kind as "objectKind", page.object_id as "objectId",
       page.object_name as "objectName", page.before_digest as "beforeDigest", page.after_digest as "afterDigest", page.source,
       page.request_id as "requestId", page.outcome, page.code, page.count, s.sequence as seal
     from page
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
