import { Refusal } from '../refusal.ts';
import type { Sql } from './database.ts';

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
 * Reads what a request was answered when it was handled first, within the last 24 h. Another request under the same id is refused with
 * ALREADY_EXISTS, reason REQUEST_ID_REUSED.
 */
export async function recallAnswer(tx: Sql, key: RequestKey): Promise<Uint8Array> {
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

/** Encrypts what is remembered of an answer. */
export function sealRequest(tx: Sql, key: RequestKey, remember: Uint8Array): { data: Uint8Array; keyId: string } {
  return tx.cipher.seal(sealName(key), remember);
}

/** Returns the name that an answer is encrypted under, so that it cannot be read as the answer to another call. */
function sealName({ principal, method, requestId }: RequestKey): Buffer {
  return Buffer.from(`${principal}/${method}/${requestId}`);
}
