import { createHash } from 'node:crypto';
import { clone, type DescMessage, fromBinary, type MessageShape, toBinary, toJson } from '@bufbuild/protobuf';
import { reflect } from '@bufbuild/protobuf/reflect';
import type { HandlerContext } from '@connectrpc/connect';
import { actorOf, type Principal } from '../access/principal.ts';
import { requireValidKey } from '../access/store.ts';
import { createNote, type NewEntry, type Note, type NoteContent, sorted } from '../audit/rules.ts';
import { insertEntries } from '../audit/store.ts';
import type { Database, Tx } from '../store/database.ts';
import { runIdempotent } from '../store/idempotency.ts';
import { sourceOf } from './origin.ts';
import { principalOf } from './principal.ts';

/**
 * Runs a mutation in one transaction: re-checks the caller's key, then runs `work`, at most once for a request_id. A repeated
 * request gets the first answer again, with `replayed` set and without its secret (the field `pak`). The same transaction writes the
 * audit entry, whose object `work` names in its note.
 */
export async function mutate<O extends DescMessage>(
  db: Database,
  context: HandlerContext,
  request: MessageShape<DescMessage>,
  output: O,
  work: (tx: Tx, principal: Principal, note: Note) => Promise<MessageShape<O>>,
): Promise<MessageShape<O>> {
  const principal = principalOf(context);
  const requestId = (request as { requestId?: string }).requestId ?? '';
  const hash = requestId === '' ? new Uint8Array() : hashRequest(context.method.input, request);
  const key = { principal: principal.ownerId, method: context.method.name, requestId, hash };
  return db.transact(async (tx) => {
    await requireValidKey(tx, principal.keyId);
    const result = await runIdempotent(tx, key, async () => {
      const note = createNote();
      const answer = await work(tx, principal, note);
      await insertEntries(tx, [toAuditEntry(context, principal, requestId, note.read())]);
      return { answer, remember: toBinary(output, withoutSecret(output, answer)) };
    });
    return 'answer' in result ? result.answer : markReplayed(output, fromBinary(output, result.remembered));
  });
}

function toAuditEntry(context: HandlerContext, principal: Principal, requestId: string, noted: NoteContent): NewEntry {
  return {
    actor: actorOf(principal),
    action: context.method.name,
    objectKind: noted.kind,
    objectId: noted.id,
    objectName: noted.name,
    before: noted.before,
    after: noted.after,
    source: sourceOf(context),
    requestId,
    outcome: 'done',
    code: '',
    count: 1,
  };
}

/** Hashes the request without its request_id, as JSON with sorted keys: the order of a map's entries does not count. */
function hashRequest(schema: DescMessage, request: MessageShape<DescMessage>): Uint8Array {
  const plain = clone(schema, request) as MessageShape<DescMessage> & { requestId: string };
  plain.requestId = '';
  return createHash('sha256')
    .update(JSON.stringify(sorted(toJson(schema, plain))))
    .digest();
}

function withoutSecret<O extends DescMessage>(schema: O, answer: MessageShape<O>): MessageShape<O> {
  const secret = schema.fields.find((field) => field.name === 'pak');
  if (!secret) return answer;
  const plain = clone(schema, answer);
  reflect(schema, plain).clear(secret);
  return plain;
}

function markReplayed<O extends DescMessage>(schema: O, answer: MessageShape<O>): MessageShape<O> {
  const field = schema.fields.find((candidate) => candidate.name === 'replayed');
  if (field) reflect(schema, answer).set(field, true);
  return answer;
}
