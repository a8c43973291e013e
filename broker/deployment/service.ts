import { create } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import type { ServiceImpl } from '@connectrpc/connect';
import { traceIdOf } from '../../client/trace.ts';
import { objectActions } from '../../contract/enum-names.ts';
import type { BrokerService } from '../../gen/brokkr/v1/broker_pb.ts';
import {
  type Deployment,
  DeploymentSchema,
  RollbackStackResponseSchema,
  type SubmitDeploymentResponse,
  SubmitDeploymentResponseSchema,
} from '../../gen/brokkr/v1/deployment_pb.ts';
import { type ObjectChange, ObjectChangeSchema } from '../../gen/brokkr/v1/object_pb.ts';
import { ownerOf, type Principal } from '../access/principal.ts';
import type { Note } from '../audit/rules.ts';
import type { Deps } from '../deps.ts';
import { type GeneratorRow, quotaOf } from '../generator/rules.ts';
import { generatorById, keptBytes, lockGeneratorRow } from '../generator/store.ts';
import { lockStacks } from '../placement/lock-store.ts';
import { Refusal } from '../refusal.ts';
import { isId } from '../resource.ts';
import { currentCall } from '../rpc/call.ts';
import { mutate } from '../rpc/mutate.ts';
import { principalOf } from '../rpc/principal.ts';
import { requireLiveStack, type StackRow } from '../stack/rules.ts';
import { findStack } from '../stack/store.ts';
import { announce } from '../store/feed.ts';
import type { Sql, Tx } from '../store/orm.ts';
import { cutPage, readPage } from '../store/page.ts';
import { requireAllowed, requireWithinQuota } from './limits.ts';
import type { ComparedManifest, Parser } from './parser.ts';
import { compareManifests, type DeploymentRow, type Difference, identitiesOf } from './rules.ts';
import * as store from './store.ts';

type Methods = 'submitDeployment' | 'getDeployment' | 'listDeployments' | 'rollbackStack';

/** A manifest with its differences from the stack's deployment of this checksum; undefined for a stack that had none. */
interface Submission extends ComparedManifest {
  readonly comparedWith: Buffer | undefined;
}

const namedAgents = 1_000;
const fieldBytes = 1 << 20;

export function deploymentMethods({
  db,
  parser,
}: Deps & { parser: Parser }): Pick<ServiceImpl<typeof BrokerService>, Methods> {
  return {
    async submitDeployment(request, context) {
      const principal = principalOf(context);
      // Before the slow part: a caller without the stack learns nothing about its manifest, and costs nothing.
      const found = await findStack(db, ownerOf(principal), request.stack);
      const before = await store.currentManifest(db, found.id);
      const parsed = await parser.parse(request.manifest, {
        before: before?.data,
        caller: principal.ownerId,
        signal: context.signal,
      });
      if (parsed.objects.length === 0 && !request.allowEmpty) {
        throw new Refusal(
          'invalid_argument',
          'manifest: has no objects, which would remove everything; set allow_empty if that is meant',
          {
            field: 'manifest',
            reason: 'EMPTY_MANIFEST',
          },
        );
      }
      if (request.dryRun) return preview(db, found, parsed);
      return mutate(db, context, request, SubmitDeploymentResponseSchema, async (tx, _principal, note) => {
        const answer = await submit(tx, principal, request, { ...parsed, comparedWith: before?.checksum });
        tell(note, answer.deployment);
        return answer;
      });
    },

    async getDeployment(request, context) {
      const owner = ownerOf(principalOf(context));
      const row = await store.findDeployment(db, owner, await refOf(db, owner, request));
      const manifest = await store.manifestData(db, row.checksum);
      return { deployment: toMessage(row), manifest, objects: await identitiesOf(manifest) };
    },

    async listDeployments(request, context) {
      const principal = principalOf(context);
      const owner = ownerOf(principal);
      const stackId = request.stack === '' ? undefined : (await findStack(db, owner, request.stack)).id;
      const scope = ['deployments', principal.ownerId, stackId ?? ''];
      const page = readPage(request, scope);
      const rows = await store.listDeployments(db, { owner, stackId, after: page.after, limit: page.size + 1 });
      const cut = cutPage(rows, page, scope, (row) => [row.id]);
      return { deployments: cut.rows.map(toMessage), nextPageToken: cut.nextPageToken };
    },

    rollbackStack: (request, context) =>
      mutate(db, context, request, RollbackStackResponseSchema, async (tx, principal, note) => {
        const stack = await locked(tx, principal, request.stack);
        const to =
          request.revision === 0
            ? await store.previousDeployment(tx, stack.id)
            : await store.findDeployment(tx, null, { stackId: stack.id, revision: request.revision });
        if (!to)
          throw new Refusal('failed_precondition', 'there is no earlier revision to roll back to', {
            field: 'revision',
            reason: 'NO_EARLIER_REVISION',
          });
        const content = await store.contentOf(tx, to.id);
        const now = await store.currentDeployment(tx, stack);
        if (now?.checksum.equals(content.checksum)) {
          tell(note, toMessage(now));
          return create(RollbackStackResponseSchema, { deployment: toMessage(now), unchanged: true });
        }
        const generator = await generatorById(tx, stack.generator_id);
        requireAllowed(generator, await identitiesOf(await store.manifestData(tx, content.checksum)));
        const row = await store.makeCurrent(tx, {
          stackId: stack.id,
          checksum: content.checksum,
          size: content.size,
          objectCount: content.object_count,
          kinds: content.kinds,
          message: request.message || `roll back to revision ${to.revision}`,
          createdBy: authorOf(principal),
          rollbackOf: to.revision,
          traceParent: traceParent(),
        });
        await keepWithinQuota(tx, generator, stack.id);
        await announce(tx, 'stack', [stack.id]);
        tell(note, toMessage(row));
        return create(RollbackStackResponseSchema, { deployment: toMessage(row) });
      }),
  };
}

/** Says for the record which deployment became the current one, or stayed it. */
function tell(note: Note, deployment: Deployment | undefined): void {
  if (!deployment) return;
  const { id, stack, revision, checksum } = deployment;
  note.about('deployment', id, `${stack} revision ${revision}`);
  note.after({ id, revision, checksum });
}

async function submit(
  tx: Tx,
  principal: Principal,
  request: { stack: string; message: string },
  parsed: Submission,
): Promise<SubmitDeploymentResponse> {
  const stack = await locked(tx, principal, request.stack);
  const agents = await store.servingAgents(tx, stack.id, namedAgents);
  const before = await store.currentDeployment(tx, stack);
  const generator = await generatorById(tx, stack.generator_id);
  requireAllowed(generator, parsed.objects);
  if (before?.checksum.equals(Buffer.from(parsed.checksum))) return answer(before, agents, [], true, parsed.warnings);
  const changes = await changesSince(tx, before, parsed);
  await store.keepManifest(tx, parsed.checksum, parsed.data);
  const row = await store.makeCurrent(tx, {
    stackId: stack.id,
    checksum: parsed.checksum,
    size: parsed.data.length,
    objectCount: parsed.objects.length,
    kinds: parsed.kinds,
    message: request.message,
    createdBy: authorOf(principal),
    rollbackOf: null,
    traceParent: traceParent(),
  });
  await keepWithinQuota(tx, generator, stack.id);
  await announce(tx, 'stack', [stack.id]);
  return answer(row, agents, changes, false, parsed.warnings);
}

/** Forgets the stack's oldest deployments; refuses the new one when what is left is too much for its generator. */
async function keepWithinQuota(tx: Tx, generator: GeneratorRow, stackId: string): Promise<void> {
  // Another stack's submission must not count without this one: after a wait for the lock, a new statement sees both.
  if (!generator.system) await lockGeneratorRow(tx, generator.id);
  await store.trimDeployments(tx, stackId, quotaOf(generator).deploymentsPerStack);
  requireWithinQuota(generator, await keptBytes(tx, generator.id));
}

async function preview(db: Sql, stack: StackRow, parsed: ComparedManifest): Promise<SubmitDeploymentResponse> {
  requireAllowed(await generatorById(db, stack.generator_id), parsed.objects);
  const agents = await store.servingAgents(db, stack.id, namedAgents);
  const before = await store.currentDeployment(db, stack);
  const unchanged = before?.checksum.equals(Buffer.from(parsed.checksum)) ?? false;
  return answer(unchanged ? before : undefined, agents, unchanged ? [] : parsed.changes, unchanged, parsed.warnings);
}

/** The differences were found before the lock was taken: somebody may have been quicker. */
async function changesSince(
  tx: Tx,
  before: DeploymentRow | undefined,
  parsed: Submission,
): Promise<readonly Difference[]> {
  if (before?.checksum.toString('hex') === parsed.comparedWith?.toString('hex')) return parsed.changes;
  return compareManifests(before ? await store.manifestData(tx, before.checksum) : new Uint8Array(), parsed.data);
}

function answer(
  row: DeploymentRow | undefined,
  agents: { names: string[]; count: number },
  changes: readonly Difference[],
  unchanged: boolean,
  warnings: readonly string[],
): SubmitDeploymentResponse {
  return create(SubmitDeploymentResponseSchema, {
    deployment: row && toMessage(row),
    unchanged,
    changes: withinAnswer(changes).map(changeMessage),
    agents: agents.names,
    agentCount: agents.count,
    warnings: [...warnings],
  });
}

/** Names of fields are left out from where all of them would not fit into an answer. */
function withinAnswer(changes: readonly Difference[]): Difference[] {
  let room = fieldBytes;
  return changes.map((change) => {
    room -= change.fields.reduce((sum, field) => sum + field.length * 3, 0);
    return room < 0 ? { ...change, fields: [] } : change;
  });
}

/** Submissions to one stack follow one another; placements are not touched, so the stack's row is the only lock. */
async function locked(tx: Tx, principal: Principal, ref: string): Promise<StackRow> {
  const found = await findStack(tx, ownerOf(principal), ref);
  await lockStacks(tx, [found.id]);
  const row = await findStack(tx, ownerOf(principal), found.id);
  requireLiveStack(row, ref);
  return row;
}

async function refOf(
  db: Sql,
  owner: string | null,
  request: { id: string; stack: string; revision: number },
): Promise<store.DeploymentRef> {
  if (request.id !== '' && request.stack !== '')
    throw new Refusal('invalid_argument', 'give id, or stack and revision, not both', { field: 'id' });
  if (request.id !== '') {
    if (!isId(request.id)) throw new Refusal('not_found', 'deployment not found', { reason: 'NO_SUCH_DEPLOYMENT' });
    return { id: request.id };
  }
  if (request.stack === '') throw new Refusal('invalid_argument', 'stack: give an id, or a stack', { field: 'stack' });
  return { stackId: (await findStack(db, owner, request.stack)).id, revision: request.revision };
}

/** The trace of the call that is answered: agents' work for what it submits is to become a part of it. */
function traceParent(): string {
  return currentCall()?.traceParent ?? '';
}

/** Who submitted, for people: kept as text, because keys and generators come and go. */
function authorOf(principal: Principal): string {
  return `${principal.ownerName} (${principal.shortToken})`;
}

function changeMessage(change: Difference): ObjectChange {
  return create(ObjectChangeSchema, {
    object: change.object,
    action: objectActions[change.action],
    fields: [...change.fields],
  });
}

function toMessage(row: DeploymentRow): Deployment {
  return create(DeploymentSchema, {
    id: row.id,
    stackId: row.stack_id,
    stack: row.stack,
    revision: row.revision,
    checksum: row.checksum.toString('hex'),
    size: BigInt(row.size),
    objectCount: row.object_count,
    message: row.message,
    createdBy: row.created_by,
    createTime: timestampFromDate(row.created_at),
    rollbackOf: row.rollback_of ?? 0,
    current: row.current,
    traceId: traceIdOf(row.trace_parent),
  });
}
