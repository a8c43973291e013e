import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import type { ServiceImpl } from '@connectrpc/connect';
import type { BrokerService } from '../../gen/brokkr/v1/broker_pb.ts';
import { HealthCountsSchema } from '../../gen/brokkr/v1/health_pb.ts';
import { PlacementCountsSchema } from '../../gen/brokkr/v1/placement_pb.ts';
import {
  AddTargetResponseSchema,
  CreateStackResponseSchema,
  DeleteStackResponseSchema,
  type LabelSelector,
  LabelSelectorSchema,
  RemoveTargetResponseSchema,
  SelectorOperator,
  type Stack,
  StackSchema,
  type UpdateStackRequest,
  UpdateStackResponseSchema,
} from '../../gen/brokkr/v1/stack_pb.ts';
import { ownerOf } from '../access/principal.ts';
import type { Deps } from '../deps.ts';
import { countsOfStacks, type StackCounts } from '../placement/count-store.ts';
import { Refusal } from '../refusal.ts';
import { checkMask } from '../resource.ts';
import { mutate } from '../rpc/mutate.ts';
import { principalOf } from '../rpc/principal.ts';
import type { Sql } from '../store/database.ts';
import { cutPage, readPage } from '../store/page.ts';
import { createStack } from './create.ts';
import { listStacks } from './list-store.ts';
import { checkSelector, fullName, type Operator, recordStack, type Selector, type StackRow } from './rules.ts';
import { allSettings, maskedSettings, maskPaths, settingsMessage } from './settings-service.ts';
import * as store from './store.ts';
import { addTarget, lockTarget, removeTarget, type Target } from './target.ts';
import { deleteStack, lockStack, type StackChange, updateStack } from './update.ts';

type Methods = 'createStack' | 'getStack' | 'listStacks' | 'updateStack' | 'deleteStack' | 'addTarget' | 'removeTarget';

/** Implements the RPCs with which callers manage stacks and their targets. */
export function stackMethods({ db }: Deps): Pick<ServiceImpl<typeof BrokerService>, Methods> {
  return {
    createStack: (request, context) =>
      mutate(db, context, request, CreateStackResponseSchema, async (tx, principal, note) => {
        const after = await createStack(tx, principal, {
          ...request,
          settings: allSettings(request),
          selector: request.selector && toSelector(request.selector),
        });
        recordStack(note, { after });
        return create(CreateStackResponseSchema, { stack: await stackMessage(tx, after) });
      }),

    async getStack(request, context) {
      const row = await store.findStack(db, ownerOf(principalOf(context)), request.stack);
      return { stack: await stackMessage(db, row) };
    },

    async listStacks(request, context) {
      const principal = principalOf(context);
      const scope = ['stacks', principal.ownerId, request.generator, request.label, request.showDeleted];
      const page = readPage(request, scope);
      const rows = await listStacks(db, {
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
        const change = toChange(request, mask);
        const before = await lockStack(tx, ownerOf(principal), request.stack, request.etag);
        const after = await updateStack(tx, before, change);
        recordStack(note, { before, after });
        return create(UpdateStackResponseSchema, { stack: await stackMessage(tx, after) });
      }),

    deleteStack: (request, context) =>
      mutate(db, context, request, DeleteStackResponseSchema, async (tx, principal, note) => {
        const before = await lockStack(tx, ownerOf(principal), request.stack, request.etag);
        const last = await deleteStack(tx, before);
        recordStack(note, { before });
        return create(DeleteStackResponseSchema, { stack: await stackMessage(tx, last) });
      }),

    addTarget: (request, context) =>
      mutate(db, context, request, AddTargetResponseSchema, async (tx, principal, note) => {
        const target = await lockTarget(tx, principal, request);
        await addTarget(tx, target);
        note.about('target', target.stack.id, targetName(target));
        note.after({ stackId: target.stack.id, agentId: target.agent.id });
        return create(AddTargetResponseSchema);
      }),

    removeTarget: (request, context) =>
      mutate(db, context, request, RemoveTargetResponseSchema, async (tx, principal, note) => {
        const target = await lockTarget(tx, principal, request);
        await removeTarget(tx, target, principal);
        note.about('target', target.stack.id, targetName(target));
        note.before({ stackId: target.stack.id, agentId: target.agent.id });
        return create(RemoveTargetResponseSchema);
      }),
  };
}

function toChange(request: UpdateStackRequest, mask: readonly string[]): StackChange {
  return {
    addLabels: request.addLabels,
    removeLabels: request.removeLabels,
    setAnnotations: request.setAnnotations,
    removeAnnotations: request.removeAnnotations,
    settings: maskedSettings(request, mask),
    ...(mask.includes('selector') && { selector: request.selector ? toSelector(request.selector) : null }),
    ...(mask.includes('depends_on') && { dependsOn: request.dependsOn }),
  };
}

function targetName({ stack, agent }: Target): string {
  return `${fullName(stack)} on ${agent.name}`;
}

/** Converts a stack to a message with the counts of its placements. */
export async function stackMessage(db: Sql, row: StackRow): Promise<Stack> {
  const [message] = await toMessages(db, [row]);
  return message as Stack;
}

/** Converts stacks to messages; one query reads the counts of all their placements and healths. */
async function toMessages(db: Sql, rows: readonly StackRow[]): Promise<Stack[]> {
  const counts = await countsOfStacks(
    db,
    rows.map((row) => row.id),
  );
  return rows.map((row) => toMessage(row, counts.get(row.id)));
}

// Most stacks of a long list share these.
const noPlacements = create(PlacementCountsSchema);
const noHealth = create(HealthCountsSchema);

/** Converts a stack to a message, which is written as it is: for lists of many, `create` costs more than everything else here. */
function toMessage(row: StackRow, counts: StackCounts | undefined): Stack {
  return {
    $typeName: StackSchema.typeName,
    id: row.id,
    name: row.name,
    generator: row.generator,
    labels: row.labels,
    annotations: row.annotations,
    selector: row.hasSelector ? create(LabelSelectorSchema, fromSelector(row)) : undefined,
    ...settingsMessage(row),
    dependsOn: row.dependsOn,
    revision: row.revision ?? 0,
    currentDeploymentId: row.currentDeployment ?? '',
    targets: row.targets,
    placements: counts ? create(PlacementCountsSchema, counts.phases) : noPlacements,
    health: counts ? create(HealthCountsSchema, counts.healths) : noHealth,
    createTime: timestampFromDate(row.createdAt),
    updateTime: timestampFromDate(row.updatedAt),
    deleteTime: row.deletedAt ? timestampFromDate(row.deletedAt) : undefined,
    etag: row.version,
  };
}

const operators = {
  in: SelectorOperator.IN,
  not_in: SelectorOperator.NOT_IN,
  exists: SelectorOperator.EXISTS,
  does_not_exist: SelectorOperator.DOES_NOT_EXIST,
} as const;

function toSelector(message: LabelSelector): Selector {
  const terms = [
    ...Object.entries(message.matchLabels).map(([key, value]) => ({ key, operator: 'in' as const, values: [value] })),
    ...message.matchExpressions.map((term) => ({
      key: term.key,
      operator: toOperator(term.operator),
      values: term.values,
    })),
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
    operator: operators[term.operator],
    values: [...term.values],
  }));
  return { matchAll: row.matchAll, matchExpressions };
}
