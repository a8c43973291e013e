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
import { requireIncarnation } from '../agent/rules.ts';
import { findAgent } from '../agent/store.ts';
import type { Deps } from '../deps.ts';
import { lockAgentSide } from '../placement/lock-store.ts';
import { isId } from '../resource.ts';
import { principalOf } from '../rpc/principal.ts';
import { findStack } from '../stack/store.ts';
import { announce } from '../store/feed.ts';
import type { Sql, Tx } from '../store/orm.ts';
import { cutPage, readPage } from '../store/page.ts';
import { type OutcomeName, type Reported, type Sorted, sortEvents, toStore } from './rules.ts';
import * as store from './store.ts';

export function reportMethods({ db, feed }: Deps): Pick<ServiceImpl<typeof AgentService>, 'reportEvents'> {
  return {
    async reportEvents(request, context) {
      const principal = principalOf(context);
      const agentId = principal.ownerId;
      const events = request.events.map(fromMessage);
      // Only an acknowledgement changes placements; other reports take no lock that a change of them waits for.
      const acknowledges = events.some((event) => event.outcome === 'removed');
      const { sorted, accepted } = acknowledges
        ? await db.transact(async (tx) => {
            await requireValidKey(tx, principal.keyId);
            await lockAgentSide(tx, agentId);
            const recorded = await record(tx, agentId, request.incarnation, events);
            await endRemovals(tx, agentId, recorded.accepted);
            return recorded;
          })
        : await db.transactPrepared(async (tx) => {
            await requireValidKey(tx, principal.keyId);
            return record(tx, agentId, request.incarnation, events);
          });
      for (const { stackId } of accepted) if (stackId !== null) feed.report(stackId);
      return create(ReportEventsResponseSchema, { receipts: sorted.map(toReceipt) });
    },
  };
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

/** About what an event takes in an answer. */
function bytesOf(row: store.EventRow): number {
  return 500 + row.message.length * 3 + JSON.stringify(row.objects).length;
}

async function record(
  tx: Sql,
  agentId: string,
  incarnation: bigint,
  events: readonly Reported[],
): Promise<{ sorted: Sorted[]; accepted: Reported[] }> {
  const stackIds = [...new Set(events.flatMap((event) => (event.stackId === null ? [] : [event.stackId])))];
  const order = await store.lockEventOrder(tx, agentId, stackIds);
  requireIncarnation(order?.incarnation ?? 0n, incarnation);
  // A start that a restored database has forgotten counts its events from 1, as any start does.
  const known = order?.incarnation === incarnation ? order.lastSequence : 0n;
  const { sorted, lastSequence } = sortEvents(events, known, order?.placed ?? new Set());
  const accepted = sorted.filter((item) => item.receipt === 'accepted').map((item) => item.event);
  await store.recordEvents(tx, agentId, incarnation, { stored: toStore(sorted), accepted, lastSequence });
  return { sorted, accepted };
}

/** The agent side's locks must be held. */
async function endRemovals(tx: Tx, agentId: string, accepted: readonly Reported[]): Promise<void> {
  const done = accepted.filter((event) => event.outcome === 'removed');
  if (done.length === 0 || (await store.endRemovals(tx, agentId, done)) === 0) return;
  await endIfDrained(tx, agentId);
  await announce(tx, 'agent', [agentId]);
}

function toReceipt(item: Sorted) {
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

function fromMessage(event: ReportedEvent): Reported {
  return {
    sequence: event.sequence,
    stackId: event.stackId === '' ? null : event.stackId,
    deploymentId: isId(event.deploymentId) ? event.deploymentId : null,
    checksum: /^[0-9a-f]{64}$/.test(event.checksum) ? event.checksum : '',
    generation: event.generation,
    outcome: outcomeName(event.outcome),
    // An error that an agent passes on may quote what was applied.
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
    agentId: row.agent_id,
    agent: row.agent ?? '',
    incarnation: BigInt(row.incarnation),
    sequence: BigInt(row.sequence),
    stackId: row.stack_id ?? '',
    stack: row.stack ?? '',
    deploymentId: row.deployment_id ?? '',
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
    receiveTime: timestampFromDate(row.received_at),
    agentTime: row.agent_time ? timestampFromDate(row.agent_time) : undefined,
  });
}
