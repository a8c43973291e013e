import type { NewEntry } from '../audit/rules.ts';
import type { Sql } from '../store/database.ts';
import type { RequestKey } from '../store/idempotency.ts';
import { sealRequest } from '../store/idempotency.ts';

/** The state in which a mutation begins. */
export interface Beginning {
  /** False for a key that was revoked or has expired, whatever a cache still says. */
  readonly isKeyValid: boolean;
  /** False when the request was handled before. */
  readonly isFirst: boolean;
}

const validKeySql = `select 1 as valid from pak where id = $1 and revoked_at is null and (expires_at is null or expires_at > now())`;

// The inner select lets a repetition without a valid key neither wait nor write.
const claimSql = `
  with key as materialized (${validKeySql}),
  claimed as (
    insert into request (principal, method, request_id, hash) select $2::uuid, $3, $4, $5::bytea from key on conflict do nothing returning 1)
  select exists (select from key) as "isKeyValid", exists (select from claimed) as "isFirst"`;

const keySql = `select exists (${validKeySql}) as "isKeyValid", true as "isFirst"`;

/**
 * Begins a mutation: checks its key again, and writes the row of its request, if it has a request_id. A concurrent request with the
 * same id waits for the end of this transaction. It must be the first statement, so that no change commits after the revocation of
 * its key.
 */
export async function beginMutation(tx: Sql, keyId: string, request: RequestKey): Promise<Beginning> {
  const { principal, method, requestId, hash } = request;
  const [row] =
    requestId === ''
      ? await tx.sql<Beginning>(keySql, [keyId])
      : await tx.sql<Beginning>(claimSql, [keyId, principal, method, requestId, Buffer.from(hash)]);
  return row ?? { isKeyValid: false, isFirst: false };
}

const entrySql = `
  insert into audit (actor_role, actor_id, actor_name, key_short, action, object_kind, object_id, object_name, before_digest,
    after_digest, source, request_id, outcome, code, count)
  values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)`;

const entryAndAnswerSql = `
  with answered as (update request set answer = $16, key_id = $17 where principal = $18 and method = $5 and request_id = $12)
  ${entrySql}`;

/** Ends a mutation: writes its audit entry, and what a repetition of its request gets. */
export async function endMutation(tx: Sql, entry: NewEntry, request: RequestKey, answer: Uint8Array): Promise<void> {
  const columns = [
    entry.actor.role,
    entry.actor.id,
    entry.actor.name,
    entry.actor.shortToken,
    entry.action,
    entry.objectKind,
    entry.objectId,
    entry.objectName,
    entry.before,
    entry.after,
    entry.source,
    entry.requestId,
    entry.outcome,
    entry.code,
    entry.count,
  ];
  if (request.requestId === '') return void (await tx.sql(entrySql, columns));
  const sealed = sealRequest(tx, request, answer);
  await tx.sql(entryAndAnswerSql, [...columns, sealed.data, sealed.keyId, request.principal]);
}
