import { create } from '@bufbuild/protobuf';
import { timestampDate, timestampFromDate } from '@bufbuild/protobuf/wkt';
import type { ServiceImpl } from '@connectrpc/connect';
import { enumName, outcomes } from '../../contract/enum-names.ts';
import type { AgentService } from '../../gen/brokkr/v1/agent_pb.ts';
import type { BrokerService } from '../../gen/brokkr/v1/broker_pb.ts';
import {
  type Event,
  EventReceiptSchema,
  EventSchema,
  Outcome,
  Receipt,
  ReportEventsResponseSchema,
  type ReportedEvent,
} from '../../gen/brokkr/v1/event_pb.ts';
import { type ObjectAction, ObjectChangeSchema, ObjectRefSchema } from '../../gen/brokkr/v1/object_pb.ts';
import { ownerOf } from '../access/principal.ts';
import { requireValidKey } from '../access/store.ts';
import { endIfDrained } from '../agent/lifecycle.ts';
import { findAgent } from '../agent/store.ts';
import type { Deps } from '../deps.ts';
import { lockAgentSide } from '../placement/lock-store.ts';
import { Refusal } from '../refusal.ts';
import { isId } from '../resource.ts';
import { principalOf } from '../rpc/principal.ts';
import { findStack } from '../stack/store.ts';
import type { Database, Tx } from '../store/database.ts';
import { announce } from '../store/feed.ts';
import { cutPage, readPage } from '../store/page.ts';
import { type RecordedReport, recordReport } from './record.ts';
import type { ReportGroups } from './report-group.ts';
import type { Report } from './report-store.ts';
import type { AgentEvent, OutcomeName, ReceivedEvent } from './rules.ts';
import * as store from './store.ts';

export function reportMethods({
  db,
  feed,
  reportGroups,
}: Deps & { reportGroups: ReportGroups }): Pick<ServiceImpl<typeof AgentService>, 'reportEvents'> {
  return {
    async reportEvents(request, context) {
      const { ownerId: agentId, keyId } = principalOf(context);
      const events = request.events.map(fromMessage);
      const report = { agentId, keyId, incarnation: request.incarnation, events };
      const { received, accepted } = await record(db, reportGroups, report);
      for (const { stackId } of accepted) if (stackId !== null) feed.notifyReport(stackId);
      return create(ReportEventsResponseSchema, { receipts: received.map(toReceipt) });
    },
  };
}

async function record(db: Database, groups: ReportGroups, report: Report): Promise<RecordedReport> {
  const { agentId, keyId, events } = report;
  // Only acknowledgements of removals change placements, so other reports do not take the locks that a change waits for.
  if (events.some((event) => event.outcome === 'removed'))
    return db.transact(async (tx) => {
      await requireValidKey(tx, keyId);
      await lockAgentSide(tx, agentId);
      const recorded = await recordReport(tx, report);
      await endRemovals(tx, agentId, recorded.accepted);
      return recorded;
    });
  const result = (await groups.record(report)) ?? (await db.transactPrepared((tx) => recordReport(tx, report)));
  if (result instanceof Refusal) throw result;
  return result;
}

export function eventMethods({ db }: Deps): Pick<ServiceImpl<typeof BrokerService>, 'listEvents'> {
  return {
    async listEvents(request, context) {
      const principal = principalOf(context);
      const owner = ownerOf(principal);
      const stackId = request.stack === '' ? undefined : (await findStack(db, owner, request.stack)).id;
      const agentId = request.agent === '' ? undefined : (await findAgent(db, principal, request.agent)).id;
      const outcome = request.outcome === Outcome.UNSPECIFIED ? undefined : outcomeName(request.outcome);
      const scope = ['events', principal.ownerId, stackId ?? '', agentId ?? '', outcome ?? ''];
      const page = readPage(request, scope);
      const rows = await store.listEvents(db, {
        owner,
        stackId,
        agentId,
        outcome,
        after: page.after,
        limit: page.size + 1,
      });
      const cut = cutPage(rows, page, scope, (row) => [row.id], bytesOf);
      return { events: cut.rows.map(toMessage), nextPageToken: cut.nextPageToken };
    },
  };
}

/** Estimates the bytes of an event in an answer. */
function bytesOf(row: store.EventRow): number {
  return 500 + row.message.length * 3 + JSON.stringify(row.objects).length;
}

/** Ends the removals that were acknowledged. The caller holds the locks of the agent's side. */
async function endRemovals(tx: Tx, agentId: string, accepted: readonly AgentEvent[]): Promise<void> {
  const removed = accepted.filter((event) => event.outcome === 'removed');
  if (removed.length === 0 || (await store.endRemovals(tx, agentId, removed)) === 0) return;
  await endIfDrained(tx, agentId);
  await announce(tx, 'agent', [agentId]);
}

function toReceipt(item: ReceivedEvent) {
  const receipts = { accepted: Receipt.ACCEPTED, duplicate: Receipt.DUPLICATE, refused: Receipt.REFUSED } as const;
  return create(EventReceiptSchema, {
    sequence: item.event.sequence,
    receipt: receipts[item.receipt],
    reason: item.receipt === 'refused' ? item.reason : '',
  });
}

function outcomeName(outcome: Outcome): OutcomeName {
  const name = enumName(outcomes, outcome);
  if (!name) throw new Error(`outcome ${outcome} has no name`);
  return name;
}

function fromMessage(event: ReportedEvent): AgentEvent {
  return {
    sequence: event.sequence,
    stackId: event.stackId === '' ? null : event.stackId,
    deploymentId: isId(event.deploymentId) ? event.deploymentId : null,
    checksum: /^[0-9a-f]{64}$/.test(event.checksum) ? event.checksum : '',
    generation: event.generation,
    outcome: outcomeName(event.outcome),
    message: event.message,
    heldKeys: event.heldKeys,
    objects: event.objects.map(({ object, action, fields, message }) => ({
      object: {
        apiVersion: object?.apiVersion ?? '',
        kind: object?.kind ?? '',
        namespace: object?.namespace ?? '',
        name: object?.name ?? '',
      },
      action,
      fields: fields.slice(0, 50),
      message: message.slice(0, 2048),
    })),
    agentTime: event.agentTime ? timestampDate(event.agentTime) : null,
  };
}

export function toMessage(row: store.EventRow): Event {
  return create(EventSchema, {
    agentId: row.agentId,
    agent: row.agent ?? '',
    incarnation: BigInt(row.incarnation),
    sequence: BigInt(row.sequence),
    stackId: row.stackId ?? '',
    stack: row.stack ?? '',
    deploymentId: row.deploymentId ?? '',
    revision: row.revision ?? 0,
    outcome: outcomes[row.outcome],
    message: row.message,
    objects: row.objects.map((change) =>
      create(ObjectChangeSchema, {
        ...change,
        action: change.action as ObjectAction,
        object: create(ObjectRefSchema, change.object),
      }),
    ),
    receiveTime: timestampFromDate(row.receivedAt),
    agentTime: row.agentTime ? timestampFromDate(row.agentTime) : undefined,
  });
}
