import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { durationMs, timestampFromDate } from '@bufbuild/protobuf/wkt';
import { Code, ConnectError, type ServiceImpl } from '@connectrpc/connect';
import type { AgentService } from '../../gen/brokkr/v1/agent_pb.ts';
import type { BrokerService } from '../../gen/brokkr/v1/broker_pb.ts';
import {
  type Diagnostic,
  type DiagnosticReport,
  DiagnosticReportSchema,
  DiagnosticSchema,
  DiagnosticState,
  RequestDiagnosticResponseSchema,
} from '../../gen/brokkr/v1/diagnostic_pb.ts';
import { ObjectRefSchema } from '../../gen/brokkr/v1/object_pb.ts';
import { ownerOf } from '../access/principal.ts';
import { requireValidKey } from '../access/store.ts';
import { requireIncarnation } from '../agent/rules.ts';
import { findAgent } from '../agent/store.ts';
import type { Deps } from '../deps.ts';
import { fromRef } from '../health/service.ts';
import { Refusal } from '../refusal.ts';
import { mutate } from '../rpc/mutate.ts';
import { endOf, principalOf, refuseEnded } from '../rpc/principal.ts';
import { findStack } from '../stack/store.ts';
import { announce } from '../store/feed.ts';
import type { Database, Tx } from '../store/orm.ts';
import { pause } from '../store/wait.ts';
import type { DiagnosticNews } from './notifier.ts';
import { checkObject, isAnswered, requireClaim, requireRoom } from './rules.ts';
import * as store from './store.ts';

/** Even without a change, whoever waits looks again this often. */
const rereadMs = 5_000;

/** `closing` aborts, with a refusal, when the broker goes away: what waits ends with it. */
export function diagnosticMethods({
  db,
  news,
  closing,
}: Deps & { news: DiagnosticNews; closing: AbortSignal }): Pick<
  ServiceImpl<typeof BrokerService>,
  'requestDiagnostic' | 'getDiagnostic'
> {
  return {
    requestDiagnostic: (request, context) =>
      mutate(db, context, request, RequestDiagnosticResponseSchema, async (tx, principal, note) => {
        const owner = ownerOf(principal);
        const stack = await findStack(tx, owner, request.stack);
        const agent = await findAgent(tx, principal, request.agent, { draining: true });
        const object = request.object && checkObject(fromRef(request.object));
        if (!(await store.isPlaced(tx, agent.id, stack.id)))
          throw new Refusal('failed_precondition', `agent "${agent.name}" does not serve stack "${request.stack}"`, {
            field: 'agent',
            reason: 'NOT_PLACED',
          });
        requireRoom(agent.name, await store.countWaiting(tx, agent.id, stack.generatorId));
        const id = await store.insertDiagnostic(tx, { agentId: agent.id, stackId: stack.id, object });
        await announce(tx, 'diagnostic', [agent.id]);
        note.about('diagnostic', id, `${stack.generator}/${stack.name} on ${agent.name}`);
        note.after({ agentId: agent.id, stackId: stack.id, object });
        return create(RequestDiagnosticResponseSchema, { diagnostic: toMessage(await find(tx, owner, id)) });
      }),

    async getDiagnostic(request, context) {
      const owner = ownerOf(principalOf(context));
      const waitMs = request.wait ? durationMs(request.wait) : 0;
      const row = await find(db, owner, request.id);
      if (isAnswered(row.state) || waitMs === 0) return { diagnostic: answerMessage(db, row) };
      await waitForAnswer(db, news, row.id, waitMs, endOf(context, closing));
      refuseEnded(context, closing);
      if (context.signal.aborted) throw new ConnectError('the call has ended', Code.Canceled);
      return { diagnostic: answerMessage(db, await find(db, owner, request.id)) };
    },
  };
}

export function answerMethods({
  db,
  incarnationOf,
}: Deps & { incarnationOf: (agentId: string) => Promise<bigint> }): Pick<
  ServiceImpl<typeof AgentService>,
  'claimDiagnostic' | 'completeDiagnostic'
> {
  return {
    async claimDiagnostic({ incarnation }, context) {
      const { ownerId: agentId, keyId } = principalOf(context);
      requireIncarnation(await incarnationOf(agentId), incarnation);
      // Nearly always there is nothing, and no transaction for it.
      if (!(await store.isAsked(db, agentId, incarnation))) return {};
      const row = await db.transactPrepared(async (tx) => {
        await requireValidKey(tx, keyId);
        return store.claimOldest(tx, agentId, incarnation);
      });
      return { diagnostic: row && toMessage(row) };
    },

    async completeDiagnostic({ incarnation, id, report, message }, context) {
      const { ownerId: agentId, keyId } = principalOf(context);
      requireIncarnation(await incarnationOf(agentId), incarnation);
      await db.transact(async (tx) => {
        await requireValidKey(tx, keyId);
        const row = await store.lockDiagnostic(tx, agentId, id);
        if (!row) throw missing(id);
        // Its answer may have been lost on the way: the first one stands.
        if (isAnswered(row.state)) return;
        requireClaim(row, incarnation);
        const told = report && toBinary(DiagnosticReportSchema, report);
        await store.writeAnswer(tx, id, { report: told, message });
        await announce(tx, 'diagnostic', [id]);
      });
      return {};
    },
  };
}

/** Until the answer is there, the diagnostic is gone, the time is over or the signal aborts. */
async function waitForAnswer(
  db: Database,
  news: DiagnosticNews,
  id: string,
  waitMs: number,
  ended: AbortSignal,
): Promise<void> {
  const deadline = performance.now() + waitMs;
  let wake = Promise.withResolvers<void>();
  const look = () => wake.resolve();
  // Follow first, then read: an answer in between is seen by one of the two.
  const stop = news.follow(id, { changed: look, missed: look });
  try {
    for (;;) {
      const leftMs = deadline - performance.now();
      if (ended.aborted || leftMs <= 0) return;
      const state = await store.readState(db, id);
      if (state === undefined || isAnswered(state)) return;
      await pause(Math.min(leftMs, rereadMs), ended, wake.promise);
      wake = Promise.withResolvers<void>();
    }
  } finally {
    stop();
  }
}

async function find(db: Database | Tx, owner: string | null, id: string): Promise<store.DiagnosticRow> {
  const row = await store.findDiagnostic(db, owner, id);
  if (!row) throw missing(id);
  return row;
}

function missing(id: string): Refusal {
  return new Refusal('not_found', `diagnostic "${id}" not found`, { field: 'id' });
}

const states = {
  pending: DiagnosticState.PENDING,
  claimed: DiagnosticState.CLAIMED,
  done: DiagnosticState.DONE,
  failed: DiagnosticState.FAILED,
} as const satisfies Record<store.DiagnosticRow['state'], DiagnosticState>;

function answerMessage(db: Database, row: store.DiagnosticRow): Diagnostic {
  const bytes = store.openReport(db, row);
  if (row.report !== null && !bytes)
    throw new Refusal(
      'failed_precondition',
      'the report was encrypted with a key that the broker has no longer: ask again',
    );
  return toMessage(row, bytes && fromBinary(DiagnosticReportSchema, bytes));
}

function toMessage(row: store.DiagnosticRow, report?: DiagnosticReport): Diagnostic {
  return create(DiagnosticSchema, {
    id: row.id,
    agentId: row.agent_id,
    agent: row.agent,
    stackId: row.stack_id,
    stack: row.stack,
    object: row.object ? create(ObjectRefSchema, row.object) : undefined,
    state: states[row.state],
    createTime: timestampFromDate(row.created_at),
    completeTime: row.completed_at ? timestampFromDate(row.completed_at) : undefined,
    expireTime: timestampFromDate(row.expires_at),
    message: row.message,
    report,
  });
}
