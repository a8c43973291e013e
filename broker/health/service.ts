import { create } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import type { ServiceImpl } from '@connectrpc/connect';
import { enumName, healths } from '../../contract/enum-names.ts';
import type { AgentService } from '../../gen/brokkr/v1/agent_pb.ts';
import type { BrokerService } from '../../gen/brokkr/v1/broker_pb.ts';
import {
  type AgentHealth,
  AgentHealthSchema,
  Health,
  type HealthChange,
  HealthChangeSchema,
  HealthCountsSchema,
  ObjectHealthSchema,
  type ReportedHealth,
} from '../../gen/brokkr/v1/health_pb.ts';
import { type ObjectRef, ObjectRefSchema } from '../../gen/brokkr/v1/object_pb.ts';
import { ownerOf } from '../access/principal.ts';
import { requireValidKey } from '../access/store.ts';
import { requireIncarnation } from '../agent/rules.ts';
import { findAgent } from '../agent/store.ts';
import type { Deps } from '../deps.ts';
import type { ObjectName } from '../object-name.ts';
import { isId } from '../resource.ts';
import { principalOf } from '../rpc/principal.ts';
import { findStack } from '../stack/store.ts';
import { cutPage, readPage } from '../store/page.ts';
import { type HealthName, lastWords, type Reported, worstOf } from './rules.ts';
import * as store from './store.ts';

/** Below what a column holds. */
const mostObjects = 1_000_000;
const shownChanges = 100;

export function healthReportMethods({ db, feed }: Deps): Pick<ServiceImpl<typeof AgentService>, 'reportHealth'> {
  return {
    async reportHealth(request, context) {
      const principal = principalOf(context);
      const reports = lastWords(request.stacks.filter((report) => isId(report.deploymentId)).map(fromMessage));
      const stackIds = await db.transactPrepared(async (tx) => {
        await requireValidKey(tx, principal.keyId);
        requireIncarnation(await store.readIncarnation(tx, principal.ownerId), request.incarnation);
        return store.recordHealth(tx, principal.ownerId, request.incarnation, reports);
      });
      for (const stackId of stackIds) feed.report(stackId);
      return {};
    },
  };
}

export function healthMethods({ db }: Deps): Pick<ServiceImpl<typeof BrokerService>, 'getStackHealth'> {
  return {
    async getStackHealth(request, context) {
      const principal = principalOf(context);
      const stack = await findStack(db, ownerOf(principal), request.stack);
      const agentId = request.agent === '' ? undefined : (await findAgent(db, principal, request.agent)).id;
      const scope = ['health', principal.ownerId, stack.id, agentId ?? ''];
      const page = readPage(request, scope);
      const filter = { stackId: stack.id, agentId, after: page.after, limit: page.size + 1 };
      const [rows, counts, changes] = await Promise.all([
        store.listAgentHealth(db, filter),
        store.healthCounts(db, [stack.id]).then((all) => all.get(stack.id) ?? {}),
        page.after ? [] : store.listHealthChanges(db, stack.id, agentId, shownChanges),
      ]);
      const keys = (row: store.AgentHealthRow) => [String(row.rank), row.agent, row.agent_id];
      const cut = cutPage(rows, page, scope, keys, (row) => JSON.stringify(row).length);
      return {
        health: healthNumber(worstOf(counts)),
        counts: create(HealthCountsSchema, counts),
        agents: cut.rows.map(toMessage),
        nextPageToken: cut.nextPageToken,
        history: changes.map(toChange),
      };
    },
  };
}

/** A health on the wire; unspecified for one that nobody has reported. */
export function healthNumber(health: HealthName | '' | null | undefined): Health {
  return health ? healths[health] : Health.UNSPECIFIED;
}

function healthName(health: Health): HealthName | '' {
  return enumName(healths, health) ?? '';
}

function fromMessage(report: ReportedHealth): Reported {
  return {
    stackId: report.stackId,
    deploymentId: report.deploymentId,
    generation: report.generation,
    // Unspecified is refused by the contract.
    health: healthName(report.health) || 'unknown',
    message: report.message,
    objects: report.objects.map(({ object, health, message }) => ({
      object: fromRef(object),
      health: healthName(health),
      message,
    })),
    objectCount: Math.min(report.objectCount, mostObjects),
  };
}

/** An object's name as it is stored. */
export function fromRef(ref: ObjectRef | undefined): ObjectName {
  const { apiVersion = '', kind = '', namespace = '', name = '' } = ref ?? {};
  return { apiVersion, kind, namespace, name };
}

function toMessage(row: store.AgentHealthRow): AgentHealth {
  return create(AgentHealthSchema, {
    agentId: row.agent_id,
    agent: row.agent,
    health: healthNumber(row.health),
    message: row.message ?? '',
    objects: (row.objects ?? []).map(({ object, health, message }) =>
      create(ObjectHealthSchema, { object: create(ObjectRefSchema, object), health: healthNumber(health), message }),
    ),
    objectCount: row.object_count ?? 0,
    deploymentId: row.deployment_id ?? '',
    revision: row.revision ?? 0,
    changeTime: row.changed_at ? timestampFromDate(row.changed_at) : undefined,
    reportTime: row.reported_at ? timestampFromDate(row.reported_at) : undefined,
  });
}

function toChange(row: store.HealthChangeRow): HealthChange {
  return create(HealthChangeSchema, {
    agentId: row.agent_id,
    agent: row.agent ?? '',
    health: healthNumber(row.health),
    message: row.message,
    time: timestampFromDate(row.at),
  });
}
