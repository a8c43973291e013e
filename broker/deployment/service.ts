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
import { ownerOf } from '../access/principal.ts';
import type { Note } from '../audit/rules.ts';
import type { Deps } from '../deps.ts';
import { Refusal } from '../refusal.ts';
import { isId } from '../resource.ts';
import { currentCall } from '../rpc/call.ts';
import { mutatePrepared } from '../rpc/mutate.ts';
import { principalOf } from '../rpc/principal.ts';
import { findStack } from '../stack/store.ts';
import type { Sql } from '../store/database.ts';
import { cutPage, readPage } from '../store/page.ts';
import type { Parser } from './parser.ts';
import { rollBack } from './rollback.ts';
import { type DeploymentRow, type Difference, identitiesOf } from './rules.ts';
import * as store from './store.ts';
import { parseSubmission, preview, type SubmitResult, submit } from './submit.ts';

type Methods = 'submitDeployment' | 'getDeployment' | 'listDeployments' | 'rollbackStack';

/** Implements the RPCs with which callers submit, read and roll back deployments. */
export function deploymentMethods({
  db,
  parser,
}: Deps & { parser: Parser }): Pick<ServiceImpl<typeof BrokerService>, Methods> {
  return {
    async submitDeployment(request, context) {
      const { stack, message, dryRun } = request;
      const submission = await parseSubmission(db, parser, principalOf(context), request, context.signal);
      if (dryRun) return submitResponse(await preview(db, submission));
      return mutatePrepared(db, context, request, SubmitDeploymentResponseSchema, async (tx, principal, note) => {
        const result = await submit(tx, principal, { stack, message, traceParent: traceParent() }, submission);
        recordDeployment(note, result.deployment);
        return submitResponse(result);
      });
    },

    async getDeployment(request, context) {
      const owner = ownerOf(principalOf(context));
      const row = await store.findDeployment(db, owner, await refOf(db, owner, request));
      const manifest = await store.manifestData(db, row.checksum);
      const start = Number(request.manifestOffset);
      const end = request.manifestLimit === 0 ? manifest.length : start + request.manifestLimit;
      const objects = start === 0 ? await identitiesOf(manifest) : [];
      return { deployment: toMessage(row), manifest: manifest.subarray(start, end), objects };
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
      mutatePrepared(db, context, request, RollbackStackResponseSchema, async (tx, principal, note) => {
        const { stack, revision, message } = request;
        const rollback = { stack, revision, message, traceParent: traceParent() };
        const { deployment, isUnchanged } = await rollBack(tx, principal, rollback);
        recordDeployment(note, deployment);
        return create(RollbackStackResponseSchema, { deployment: toMessage(deployment), unchanged: isUnchanged });
      }),
  };
}

/** Notes for the audit log which deployment became the current one, or stayed it. */
function recordDeployment(note: Note, deployment: DeploymentRow | undefined): void {
  if (!deployment) return;
  const { id, stack, revision, checksum, namespace } = deployment;
  note.about('deployment', id, `${stack} revision ${revision}`);
  note.after({ id, revision, checksum, namespace });
}

/** Returns the trace of the current call: the agents' work for what it submits continues that trace. */
function traceParent(): string {
  return currentCall()?.traceParent ?? '';
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

function submitResponse({
  deployment,
  isUnchanged,
  changes,
  agents,
  warnings,
  namespace,
}: SubmitResult): SubmitDeploymentResponse {
  return create(SubmitDeploymentResponseSchema, {
    deployment: deployment && toMessage(deployment),
    unchanged: isUnchanged,
    changes: boundFields(changes).map(changeMessage),
    agents: [...agents.names],
    agentCount: agents.count,
    warnings: [...warnings],
    namespace,
  });
}

const maxFieldBytes = 1 << 20;

/** Leaves out the names of fields beyond the size that an answer can hold. */
function boundFields(changes: readonly Difference[]): Difference[] {
  let remaining = maxFieldBytes;
  return changes.map((change) => {
    remaining -= change.fields.reduce((sum, field) => sum + field.length * 3, 0);
    return remaining < 0 ? { ...change, fields: [] } : change;
  });
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
    stackId: row.stackId,
    stack: row.stack,
    revision: row.revision,
    checksum: row.checksum.toString('hex'),
    size: BigInt(row.size),
    objectCount: row.objectCount,
    message: row.message,
    createdBy: row.createdBy,
    createTime: timestampFromDate(row.createdAt),
    rollbackOf: row.rollbackOf ?? 0,
    current: row.isCurrent,
    traceId: traceIdOf(row.traceParent),
    namespace: row.namespace,
  });
}
