import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import type { HandlerContext, ServiceImpl } from '@connectrpc/connect';
import type { BrokerService } from '../../gen/brokkr/v1/broker_pb.ts';
import { HealthCountsSchema } from '../../gen/brokkr/v1/health_pb.ts';
import { PlacementCountsSchema } from '../../gen/brokkr/v1/placement_pb.ts';
import {
  AddTargetResponseSchema,
  CreateStackResponseSchema,
  DeleteStackResponseSchema,
  type LabelSelector,
  type LabelSelectorSchema,
  RemoveTargetResponseSchema,
  SelectorOperator,
  type Stack,
  StackSchema,
  UpdateStackResponseSchema,
} from '../../gen/brokkr/v1/stack_pb.ts';
import { ownerOf } from '../access/principal.ts';
import { findAgent } from '../agent/store.ts';
import type { Deps } from '../deps.ts';
import { checkMask, requireLive, requireRoomForStack } from '../generator/rules.ts';
import { generatorById, generatorIdByName, missingGenerator } from '../generator/store.ts';
import type { HealthCounts } from '../health/rules.ts';
import { healthCounts } from '../health/store.ts';
import { lockAgentSide, lockGenerators, lockStacks } from '../placement/lock-store.ts';
import { updatePlacements } from '../placement/match-store.ts';
import { type Counts, placementCounts } from '../placement/store.ts';
import { Refusal } from '../refusal.ts';
import { checkEtag, checkName } from '../resource.ts';
import { mutate } from '../rpc/mutate.ts';
import { principalOf } from '../rpc/principal.ts';
import type { Sql, Tx } from '../store/database.ts';
import { announce } from '../store/feed.ts';
import { systemGenerator } from '../store/installation.ts';
import { cutPage, readPage } from '../store/page.ts';
import { requireNoDependants, setDependencies } from './dependencies.ts';
import { checkSelector, type Operator, requireLiveStack, type Selector, type StackRow } from './rules.ts';
import { allSettings, maskedSettings, maskPaths, settingsMessage } from './settings-service.ts';
import * as store from './store.ts';

type Methods = 'createStack' | 'getStack' | 'listStacks' | 'updateStack' | 'deleteStack' | 'addTarget' | 'removeTarget';

export function stackMethods({ db }: Deps): Pick<ServiceImpl<typeof BrokerService>, Methods> {
  return {
    createStack: (request, context) =>
      mutate(db, context, request, CreateStackResponseSchema, async (tx, principal, note) => {
        checkName(request.name);
        const owner = ownerOf(principal);
        const generatorId = owner ?? (await generatorIdByName(tx, request.generator || systemGenerator));
        if (owner !== null && request.generator !== '' && request.generator !== principal.ownerName)
          throw missingGenerator(request.generator);
        await lockGenerators(tx, [generatorId], 'exclusive');
        const generator = await generatorById(tx, generatorId);
        requireLive(generator);
        requireRoomForStack(generator, await store.countStacks(tx, generatorId));
        const id = await store.insertStack(tx, {
          generatorId,
          name: request.name,
          settings: allSettings(request),
          labels: request.labels,
          annotations: request.annotations,
          selector: request.selector && toSelector(request.selector),
        });
        await setDependencies(tx, { id, generatorId, generator: generator.name }, request.dependsOn);
        await updatePlacements(tx, { agents: null, stacks: [id] }, '');
        await announce(tx, 'stack', [id]);
        const row = await reread(tx, id);
        note.about('stack', id, nameOf(row));
        note.after(row);
        return create(CreateStackResponseSchema, { stack: await stackMessage(tx, row) });
      }),

    async getStack(request, context) {
      const row = await store.findStack(db, ownerOf(principalOf(context)), request.stack);
      return { stack: await stackMessage(db, row) };
    },

    async listStacks(request, context) {
      const principal = principalOf(context);
      const scope = ['stacks', principal.ownerId, request.generator, request.label, request.showDeleted];
      const page = readPage(request, scope);
      const rows = await store.listStacks(db, {
        ...request,
        owner: ownerOf(principal),
        after: page.after,
        limit: page.size + 1,
      });
      const cut = cutPage(rows, page, scope, (row) => [row.generator, row.name, row.id]);
      return { stacks: await toMessages(db, cut.rows), nextPageToken: cut.nextPageToken };
    },

    updateStack: (request, context) =>
      mutate(db, context, request, UpdateStackResponseSchema, async (tx, principal, note) => {
        const mask = request.updateMask?.paths ?? [];
        checkMask(mask, maskPaths);
        const settings = maskedSettings(request, mask);
        const row = await lockedStack(tx, ownerOf(principal), request.stack, request.etag);
        await store.removeLabels(tx, row.id, request.removeLabels);
        await store.addLabels(tx, row.id, request.addLabels);
        await store.removeAnnotations(tx, row.id, request.removeAnnotations);
        await store.setAnnotations(tx, row.id, request.setAnnotations);
        if (mask.includes('selector'))
          await store.writeSelector(tx, row.id, request.selector && toSelector(request.selector));
        await store.writeSettings(tx, row.id, settings);
        if (mask.includes('depends_on'))
          await setDependencies(
            tx,
            { id: row.id, generatorId: row.generator_id, generator: row.generator },
            request.dependsOn,
          );
        await store.touchStack(tx, row.id);
        await updatePlacements(tx, { agents: null, stacks: [row.id] }, 'the stack no longer matches the agent');
        await announce(tx, 'stack', [row.id]);
        const after = await reread(tx, row.id);
        note.about('stack', row.id, nameOf(row));
        note.before(row);
        note.after(after);
        return create(UpdateStackResponseSchema, { stack: await stackMessage(tx, after) });
      }),

    deleteStack: (request, context) =>
      mutate(db, context, request, DeleteStackResponseSchema, async (tx, principal, note) => {
        const row = await lockedStack(tx, ownerOf(principal), request.stack, request.etag);
        await requireNoDependants(tx, row.id, nameOf(row));
        await store.markStackDeleted(tx, row.id);
        await store.touchStack(tx, row.id);
        await updatePlacements(tx, { agents: null, stacks: [row.id] }, 'the stack was deleted');
        await announce(tx, 'stack', [row.id]);
        note.about('stack', row.id, nameOf(row));
        note.before(row);
        const now = await store.stackById(tx, row.id);
        const gone = { ...row, deleted_at: new Date() };
        return create(DeleteStackResponseSchema, { stack: await stackMessage(tx, now ?? gone) });
      }),

    addTarget: (request, context) =>
      mutate(db, context, request, AddTargetResponseSchema, async (tx, _principal, note) => {
        const { stack, agentId, agent } = await lockedPair(tx, context, request);
        if (!(await store.isRegistered(tx, agentId, stack.generator_id))) {
          throw new Refusal(
            'failed_precondition',
            `agent "${agent}" is not registered with generator "${stack.generator}"`,
            {
              field: 'agent',
              reason: 'NOT_REGISTERED',
            },
          );
        }
        requireLiveStack(stack, request.stack);
        note.about('target', stack.id, `${nameOf(stack)} on ${agent}`);
        note.after({ stackId: stack.id, agentId });
        if (await store.addTarget(tx, stack.id, agentId)) await placeAgain(tx, agentId, '');
        return create(AddTargetResponseSchema);
      }),

    removeTarget: (request, context) =>
      mutate(db, context, request, RemoveTargetResponseSchema, async (tx, principal, note) => {
        const { stack, agentId, agent } = await lockedPair(tx, context, request);
        note.about('target', stack.id, `${nameOf(stack)} on ${agent}`);
        note.before({ stackId: stack.id, agentId });
        if (!(await store.removeTarget(tx, stack.id, agentId))) {
          throw new Refusal('not_found', `stack "${request.stack}" has no target "${request.agent}"`);
        }
        await placeAgain(tx, agentId, `the target was removed by ${principal.ownerName}`);
        return create(RemoveTargetResponseSchema);
      }),
  };
}

async function placeAgain(tx: Tx, agentId: string, removalReason: string): Promise<void> {
  await updatePlacements(tx, { agents: [agentId], stacks: null }, removalReason);
  await announce(tx, 'agent', [agentId]);
}

/** Takes the agent side's locks for one target, then reads the stack again: it may have changed while waiting. */
async function lockedPair(tx: Tx, context: HandlerContext, request: { stack: string; agent: string }) {
  const principal = principalOf(context);
  const owner = ownerOf(principal);
  const found = await store.findStack(tx, owner, request.stack);
  const agent = await findAgent(tx, principal, request.agent);
  await lockAgentSide(tx, agent.id, [found.generator_id]);
  return { stack: await store.findStack(tx, owner, found.id), agentId: agent.id, agent: agent.name };
}

/** Takes the stack side's locks and reads the stack after them. */
async function lockedStack(tx: Tx, owner: string | null, ref: string, etag: string): Promise<StackRow> {
  const found = await store.findStack(tx, owner, ref);
  await lockGenerators(tx, [found.generator_id], 'exclusive');
  await lockStacks(tx, [found.id]);
  const row = await store.findStack(tx, owner, found.id);
  requireLiveStack(row, ref);
  checkEtag(etag, row.version);
  return row;
}

/** As people, and the record, name a stack. */
function nameOf(row: StackRow): string {
  return `${row.generator}/${row.name}`;
}

async function reread(tx: Tx, id: string): Promise<StackRow> {
  const row = await store.stackById(tx, id);
  if (!row) throw new Error('a stack that was just written is not there');
  return row;
}

export async function stackMessage(db: Sql, row: StackRow): Promise<Stack> {
  const [message] = await toMessages(db, [row]);
  return message as Stack;
}

/** Stacks with the counts of all their placements, which one query reads of each kind. */
async function toMessages(db: Sql, rows: readonly StackRow[]): Promise<Stack[]> {
  const stackIds = rows.map((row) => row.id);
  const counts = await placementCounts(db, { stackIds });
  const healths = await healthCounts(db, stackIds);
  return rows.map((row) => toMessage(row, counts.get(row.id), healths.get(row.id)));
}

function toMessage(row: StackRow, counts: Counts | undefined, health: HealthCounts | undefined): Stack {
  return create(StackSchema, {
    id: row.id,
    name: row.name,
    generator: row.generator,
    labels: row.labels,
    annotations: row.annotations,
    selector: row.has_selector ? fromSelector(row) : undefined,
    ...settingsMessage({ ...row, onDelete: row.on_delete, ignoredFields: row.ignored_fields }),
    dependsOn: row.depends_on,
    revision: row.revision ?? 0,
    currentDeploymentId: row.current_deployment ?? '',
    targets: row.targets,
    placements: create(PlacementCountsSchema, counts ?? {}),
    health: create(HealthCountsSchema, health ?? {}),
    createTime: timestampFromDate(row.created_at),
    updateTime: timestampFromDate(row.updated_at),
    deleteTime: row.deleted_at ? timestampFromDate(row.deleted_at) : undefined,
    etag: row.version,
  });
}

const operators = {
  in: SelectorOperator.IN,
  not_in: SelectorOperator.NOT_IN,
  exists: SelectorOperator.EXISTS,
  does_not_exist: SelectorOperator.DOES_NOT_EXIST,
} as const;

function toSelector(message: LabelSelector): Selector {
  const terms = [
    ...Object.entries(message.matchLabels).map(([key, value]) => ({ key, op: 'in' as const, vals: [value] })),
    ...message.matchExpressions.map((term) => ({ key: term.key, op: toOperator(term.operator), vals: term.values })),
  ];
  return checkSelector(terms, message.matchAll);
}

function toOperator(operator: SelectorOperator): Operator {
  const found = (Object.keys(operators) as Operator[]).find((name) => operators[name] === operator);
  if (!found)
    throw new Refusal('invalid_argument', 'selector: unknown operator', {
      field: 'selector.match_expressions.operator',
    });
  return found;
}

function fromSelector(row: StackRow): MessageInitShape<typeof LabelSelectorSchema> {
  const matchExpressions = row.terms.map((term) => ({
    key: term.key,
    operator: operators[term.op],
    values: [...term.vals],
  }));
  return { matchAll: row.match_all, matchExpressions };
}
