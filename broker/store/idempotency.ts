import { Refusal } from '../refusal.ts';
import type { Tx } from './orm.ts';

/** Identifies a call that must happen once. */
export interface RequestKey {
  /** Id of the agent, generator or admin key that calls. */
  readonly principal: string;
  readonly method: string;
  /** The caller's request_id; empty means the call is not remembered. */
  readonly requestId: string;
  /** SHA-256 of the request without its request_id. */
  readonly hash: Uint8Array;
}

/**
 * Runs `work` once for a key: the key's row is written first, so that a twin waits for this transaction's end; the same again
 * within 24 h gets the remembered answer. `work` returns its answer's bytes without secrets.
 * Another request under the same id is refused: ALREADY_EXISTS, reason REQUEST_ID_REUSED.
 */
export async function runIdempotent<T>(
  tx: Tx,
  key: RequestKey,
  work: () => Promise<{ answer: T; remember: Uint8Array }>,
): Promise<{ answer: T } | { remembered: Uint8Array }> {
  if (key.requestId === '') return { answer: (await work()).answer };
  const mine = await tx.sql(
    'insert into request (principal, method, request_id, hash) values ($1, $2, $3, $4) on conflict do nothing returning 1',
    [key.principal, key.method, key.requestId, Buffer.from(key.hash)],
  );
  if (mine.length === 0) return { remembered: await recall(tx, key) };
  const { answer, remember } = await work();
  const sealed = tx.cipher.seal(nameOf(key), remember);
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
  const [row] = await tx.sql<{ hash: Buffer; answer: Buffer; key_id: string }>(
    'select hash, answer, key_id from request where principal = $1 and method = $2 and request_id = $3',
    [key.principal, key.method, key.requestId],
  );
  if (!row?.hash.equals(Buffer.from(key.hash))) {
    throw new Refusal('already_exists', `request_id "${key.requestId}" was used for another request`, {
      field: 'request_id',
      reason: 'REQUEST_ID_REUSED',
    });
  }
  if (row.key_id !== '' && !tx.cipher.keyIds.includes(row.key_id)) {
    throw new Refusal(
      'failed_precondition',
      'this was done before; its answer is encrypted with a key that is not used any more',
      {
        field: 'request_id',
        reason: 'ANSWER_UNREADABLE',
      },
    );
  }
  return tx.cipher.open(nameOf(key), { keyId: row.key_id, data: row.answer });
}

/** Under which an answer is encrypted: it cannot be read as that to another call. */
function nameOf({ principal, method, requestId }: RequestKey): Buffer {
  return Buffer.from(`${principal}/${method}/${requestId}`);
}
