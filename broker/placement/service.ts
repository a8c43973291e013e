import { create } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import type { HandlerContext, ServiceImpl } from '@connectrpc/connect';
import { placementStates } from '../../contract/enum-names.ts';
import type { AdminService } from '../../gen/brokkr/v1/admin_pb.ts';
import type { BrokerService } from '../../gen/brokkr/v1/broker_pb.ts';
import {
  ConfirmRemovalResponseSchema,
  ForgetRemovalResponseSchema,
  MatchKind,
  type Placement,
  PlacementPhase,
  PlacementSchema,
  StepVerdict,
} from '../../gen/brokkr/v1/placement_pb.ts';
import { ownerOf } from '../access/principal.ts';
import { endIfDrained } from '../agent/lifecycle.ts';
import { findAgent } from '../agent/store.ts';
import type { Deps } from '../deps.ts';
import { toMessage as eventMessage } from '../event/service.ts';
import { listEvents } from '../event/store.ts';
import { healthNumber } from '../health/service.ts';
import { Refusal } from '../refusal.ts';
import { mutate } from '../rpc/mutate.ts';
import { principalOf } from '../rpc/principal.ts';
import { findStack } from '../stack/store.ts';
import type { Tx } from '../store/database.ts';
import { announce } from '../store/feed.ts';
import { cutPage, readPage } from '../store/page.ts';
import { confirmPlacement, forgetPlacement } from './confirm.ts';
import { explain } from './explanation.ts';
import { readMatchFacts } from './explanation-store.ts';
import { lockAgentSide } from './lock-store.ts';
import { onlineForMs, type Phase, type PlacementRow } from './rules.ts';
import { listPlacements } from './store.ts';

const eventsInExplanation = 5;

export function placementMethods({
  db,
  now,
}: Deps): Pick<ServiceImpl<typeof BrokerService>, 'listPlacements' | 'explainPlacement'> {
  return {
    async listPlacements(request, context) {
      const principal = principalOf(context);
      const owner = ownerOf(principal);
      const stackId = request.stack === '' ? undefined : (await findStack(db, owner, request.stack)).id;
      const agentId = request.agent === '' ? undefined : (await findAgent(db, principal, request.agent)).id;
      const phase = request.phase === PlacementPhase.UNSPECIFIED ? undefined : phaseName(request.phase);
      const scope = ['placements', principal.ownerId, stackId ?? '', agentId ?? '', phase ?? ''];
      const page = readPage(request, scope);
      const rows = await listPlacements(db, {
        owner,
        stackId,
        agentId,
        phase,
        after: page.after,
        limit: page.size + 1,
      });
      const cut = cutPage(rows, page, scope, (row) => [row.agentId, row.stackId]);
      return { placements: cut.rows.map(toMessage), nextPageToken: cut.nextPageToken };
    },

    async explainPlacement(request, context) {
      const principal = principalOf(context);
      const owner = ownerOf(principal);
      const stack = await findStack(db, owner, request.stack);
      const agent = await findAgent(db, principal, request.agent);
      const [facts, [placement], events] = await Promise.all([
        readMatchFacts(db, agent.id, stack.id),
        listPlacements(db, { owner, stackId: stack.id, agentId: agent.id, limit: 1 }),
        listEvents(db, {
          owner,
          stackId: stack.id,
          agentId: agent.id,
          outcome: undefined,
          after: undefined,
          limit: eventsInExplanation,
        }),
      ]);
      if (!facts) throw new Refusal('not_found', `stack "${request.stack}" not found`);
      const explanation = explain({ agent: agent.name, facts, placement, events, now: now(), onlineForMs });
      const verdicts = { yes: StepVerdict.YES, no: StepVerdict.NO, info: StepVerdict.INFO } as const;
      return {
        summary: explanation.summary,
        steps: explanation.steps.map((step) => ({ ...step, verdict: verdicts[step.verdict] })),
        placement: placement && toMessage(placement),
        events: events.map(eventMessage),
      };
    },
  };
}

export function removalMethods({
  db,
}: Deps): Pick<ServiceImpl<typeof AdminService>, 'confirmRemoval' | 'forgetRemoval'> {
  return {
    confirmRemoval: (request, context) =>
      mutate(db, context, request, ConfirmRemovalResponseSchema, async (tx, _principal, note) => {
        const { agentId, stackId, name } = await lockedPair(tx, context, request);
        note.about('placement', stackId, name);
        note.before({ agentId, stackId, generation: request.generation });
        await confirmPlacement(tx, agentId, stackId, request);
        await announce(tx, 'agent', [agentId]);
        const [row] = await listPlacements(tx, { owner: null, stackId, agentId, limit: 1 });
        note.after(row && { agentId, stackId, generation: row.generation, held: row.held });
        return create(ConfirmRemovalResponseSchema, { placement: row && toMessage(row) });
      }),

    forgetRemoval: (request, context) =>
      mutate(db, context, request, ForgetRemovalResponseSchema, async (tx, _principal, note) => {
        const { agentId, stackId, name } = await lockedPair(tx, context, request);
        note.about('placement', stackId, name);
        note.before({ agentId, stackId, generation: request.generation });
        await forgetPlacement(tx, agentId, stackId, request.generation);
        await endIfDrained(tx, agentId);
        await announce(tx, 'agent', [agentId]);
        return create(ForgetRemovalResponseSchema);
      }),
  };
}

async function lockedPair(tx: Tx, context: HandlerContext, request: { agent: string; stack: string }) {
  const principal = principalOf(context);
  const stack = await findStack(tx, ownerOf(principal), request.stack);
  const agent = await findAgent(tx, principal, request.agent, { draining: true });
  await lockAgentSide(tx, agent.id, [stack.generatorId]);
  return { agentId: agent.id, stackId: stack.id, name: `${stack.generator}/${stack.name} on ${agent.name}` };
}

const phases = {
  pending: PlacementPhase.PENDING,
  applied: PlacementPhase.APPLIED,
  failed: PlacementPhase.FAILED,
  removing: PlacementPhase.REMOVING,
  held: PlacementPhase.HELD,
  ahead: PlacementPhase.AHEAD,
} as const satisfies Record<Phase, PlacementPhase>;

/** Returns the contract's number for a phase. */
export function phaseNumber(phase: Phase): PlacementPhase {
  return phases[phase];
}

function phaseName(phase: PlacementPhase): Phase {
  const found = (Object.keys(phases) as Phase[]).find((name) => phases[name] === phase);
  if (!found) throw new Refusal('invalid_argument', 'phase: unknown', { field: 'phase' });
  return found;
}

const kinds = {
  target: MatchKind.TARGET,
  label: MatchKind.LABEL,
  annotation: MatchKind.ANNOTATION,
  selector: MatchKind.SELECTOR,
} as const;

export function toMessage(row: PlacementRow): Placement {
  return create(PlacementSchema, {
    agentId: row.agentId,
    agent: row.agent,
    stackId: row.stackId,
    stack: row.stack,
    state: placementStates[row.state],
    generation: BigInt(row.generation),
    reasons: row.reasons.map(({ kind, detail }) => ({ kind: kinds[kind], detail })),
    desiredDeploymentId: row.desiredId ?? '',
    desiredRevision: row.desiredRevision ?? 0,
    phase: phases[row.phase],
    reportedDeploymentId: row.reportedId ?? '',
    reportedRevision: row.reportedRevision ?? 0,
    message: row.message ?? '',
    reportTime: row.reportedAt ? timestampFromDate(row.reportedAt) : undefined,
    removalReason: row.removalReason,
    held: row.held,
    updateTime: timestampFromDate(row.updatedAt),
    health: healthNumber(row.health),
    healthMessage: row.healthMessage ?? '',
    heldKeys: [...row.heldKeys],
    order: BigInt(row.order),
    agentPaused: row.agentPaused,
  });
}
