import { createHash } from 'node:crypto';
import {
  clone,
  create,
  type DescMessage,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  ScalarType,
  toBinary,
  toJson,
} from '@bufbuild/protobuf';
import { reflect } from '@bufbuild/protobuf/reflect';
import type { HandlerContext } from '@connectrpc/connect';
import { actorOf, type Principal } from '../access/principal.ts';
import { invalidKey } from '../access/rules.ts';
import { createNote, type NewEntry, type Note, type NoteContent, sorted } from '../audit/rules.ts';
import type { Database, Transaction, Tx } from '../store/database.ts';
import { type RequestKey, recallAnswer } from '../store/idempotency.ts';
import { beginMutation, endMutation } from './mutation-store.ts';
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
  work: Work<Tx, O>,
): Promise<MessageShape<O>> {
  const mutation = await toMutation(context, request, output);
  return db.transact((tx) => run(tx, mutation, work));
}

/** Does the same with prepared statements and without the entity manager, for frequent mutations. */
export async function mutatePrepared<O extends DescMessage>(
  db: Database,
  context: HandlerContext,
  request: MessageShape<DescMessage>,
  output: O,
  work: Work<Transaction, O>,
): Promise<MessageShape<O>> {
  const mutation = await toMutation(context, request, output);
  return db.transactPrepared((tx) => run(tx, mutation, work));
}

type Work<T extends Transaction, O extends DescMessage> = (
  tx: T,
  principal: Principal,
  note: Note,
) => Promise<MessageShape<O>>;

interface Mutation<O extends DescMessage> {
  readonly context: HandlerContext;
  readonly output: O;
  readonly principal: Principal;
  readonly key: RequestKey;
}

async function toMutation<O extends DescMessage>(
  context: HandlerContext,
  request: MessageShape<DescMessage>,
  output: O,
): Promise<Mutation<O>> {
  const principal = principalOf(context);
  const requestId = (request as { requestId?: string }).requestId ?? '';
  const hash = requestId === '' ? new Uint8Array() : await hashRequest(context.method.input, request);
  const key = { principal: principal.ownerId, method: context.method.name, requestId, hash };
  return { context, output, principal, key };
}

async function run<T extends Transaction, O extends DescMessage>(
  tx: T,
  { context, output, principal, key }: Mutation<O>,
  work: Work<T, O>,
): Promise<MessageShape<O>> {
  const { isKeyValid, isFirst } = await beginMutation(tx, principal.keyId, key);
  if (!isKeyValid) throw invalidKey();
  if (!isFirst) return markReplayed(output, fromBinary(output, await recallAnswer(tx, key)));
  const note = createNote();
  const answer = await work(tx, principal, note);
  const entry = toAuditEntry(context, principal, key.requestId, note.read());
  await endMutation(tx, entry, key, toBinary(output, withoutSecret(output, answer)));
  return answer;
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

/** Size of a field from which hashing it would hold up other calls. */
const largeBytes = 1 << 20;

/**
 * Hashes the request without its request_id, as JSON with sorted keys: the order of a map's entries does not count. Large bytes are
 * represented by their own hash, which another thread computes.
 */
async function hashRequest(schema: DescMessage, request: MessageShape<DescMessage>): Promise<Uint8Array> {
  const fields: Record<string, unknown> = { ...request, requestId: '' };
  for (const { localName, fieldKind, scalar } of schema.fields) {
    const value = fields[localName];
    if (
      fieldKind === 'scalar' &&
      scalar === ScalarType.BYTES &&
      value instanceof Uint8Array &&
      value.length > largeBytes
    )
      fields[localName] = new Uint8Array(await crypto.subtle.digest('SHA-256', value as Uint8Array<ArrayBuffer>));
  }
  const plain = create(schema, fields as MessageInitShape<DescMessage>);
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
