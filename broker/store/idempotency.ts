import { Refusal } from '../refusal.ts';
import type { Tx } from './database.ts';

/** Identifies a call that must take effect only once. */
export interface RequestKey {
  /** Id of the agent, generator or admin key that makes the call. */
  readonly principal: string;
  readonly method: string;
  /** The caller's request_id. With an empty one the call is not remembered. */
  readonly requestId: string;
  /** SHA-256 of the request without its request_id. */
  readonly hash: Uint8Array;
}

/**
 * Runs `work` once for a key. The key's row is inserted first, so that a concurrent call with the same key waits for the end of this
 * transaction; a repetition within 24 h gets the remembered answer. `work` returns what is to be remembered, without secrets.
 * Another request under the same id is refused with ALREADY_EXISTS, reason REQUEST_ID_REUSED.
 */
export async function runIdempotent<T>(
  tx: Tx,
  key: RequestKey,
  work: () => Promise<{ answer: T; remember: Uint8Array }>,
): Promise<{ answer: T } | { remembered: Uint8Array }> {
  if (key.requestId === '') return { answer: (await work()).answer };
  const inserted = await tx.sql(
    'insert into request (principal, method, request_id, hash) values ($1, $2, $3, $4) on conflict do nothing returning 1',
    [key.principal, key.method, key.requestId, Buffer.from(key.hash)],
  );
  if (inserted.length === 0) return { remembered: await recall(tx, key) };
  const { answer, remember } = await work();
  const sealed = tx.cipher.seal(sealName(key), remember);
  await tx.sql('update request set answer = $4, key_id = $5 where principal = $1 and method = $2 and request_id = $3', [
    key.principal,
    key.method,
    key.requestId,
    sealed.data,
    sealed.keyId,
  ]);
  return { answer };
}

async function recall(tx: Tx, key: RequestKey): Promise<Uint8Array> {
  const [row] = await tx.sql<{ hash: Buffer; answer: Buffer; keyId: string }>(
    'select hash, answer, key_id as "keyId" from request where principal = $1 and method = $2 and request_id = $3',
    [key.principal, key.method, key.requestId],
  );
  if (!row?.hash.equals(Buffer.from(key.hash))) {
    throw new Refusal('already_exists', `request_id "${key.requestId}" was used for another request`, {
      field: 'request_id',
      reason: 'REQUEST_ID_REUSED',
    });
  }
  if (row.keyId !== '' && !tx.cipher.keyIds.includes(row.keyId)) {
    throw new Refusal(
      'failed_precondition',
      'this was done before; its answer is encrypted with a key that is not used any more',
      {
        field: 'request_id',
        reason: 'ANSWER_UNREADABLE',
      },
    );
  }
  return tx.cipher.open(sealName(key), { keyId: row.keyId, data: row.answer });
}

/** Returns the name that an answer is encrypted under, so that it cannot be read as the answer to another call. */
function sealName({ principal, method, requestId }: RequestKey): Buffer {
  return Buffer.from(`${principal}/${method}/${requestId}`);
}
