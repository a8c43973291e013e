import type { Principal } from '../access/principal.ts';
import { keyIdsOfAgent } from '../access/store.ts';
import { lockAgentSide, lockAgents } from '../placement/lock-store.ts';
import { updatePlacements } from '../placement/match-store.ts';
import { Refusal } from '../refusal.ts';
import { checkEtag } from '../resource.ts';
import type { Transaction, Tx } from '../store/database.ts';
import { announce } from '../store/feed.ts';
import { beginEpoch } from '../store/installation.ts';
import * as life from './lifecycle-store.ts';
import {
  type AgentRow,
  type BrokerState,
  type HeldDeployment,
  highestOrder,
  identifiableDeployments,
  newerThanKnown,
  requireCluster,
  requireIncarnation,
  requireNotDraining,
  requirePlausible,
} from './rules.ts';
import { agentById, findAgent } from './store.ts';

/**
 * Takes the agent side's locks, then reads the agent again, because it may have changed meanwhile. ABORTED when it no longer has the
 * etag.
 */
export async function lockAgent(tx: Tx, principal: Principal, ref: string, etag = ''): Promise<AgentRow> {
  const found = await findAgent(tx, principal, ref, { draining: true });
  await lockAgentSide(tx, found.id);
  const row = await agentById(tx, found.id);
  checkEtag(etag, row.version);
  return row;
}

/**
 * Deletes an agent. It drains: its stacks become removals, and it keeps running until the last of them is acknowledged. An agent that
 * has nothing to remove, has never started, or leaves its objects behind (`orphan`) ends at once. Returns the agent's last row.
 */
export async function deleteAgent(tx: Tx, agent: AgentRow, orphan: boolean): Promise<AgentRow> {
  if (agent.deletedAt === null) await life.markAgentDeleted(tx, agent.id);
  const deleted = await agentById(tx, agent.id);
  if (!orphan && agent.incarnation !== '0') {
    if (agent.deletedAt === null)
      await updatePlacements(tx, { agents: [agent.id], stacks: null }, 'the agent was deleted');
    await announce(tx, 'agent', [agent.id]);
    if (await life.hasPlacements(tx, agent.id)) return deleted;
  }
  await endAgent(tx, agent.id);
  return deleted;
}

/**
 * Ends an agent, and its keys, that is being deleted and has nothing left to remove. Call it whenever a placement has ended, under the
 * agent side's locks. Returns whether the agent ended.
 */
export async function endIfDrained(tx: Tx, agentId: string): Promise<boolean> {
  if (!(await life.isDrained(tx, agentId))) return false;
  await endAgent(tx, agentId);
  return true;
}

/** Lets another cluster use the agent's keys: the old agent is fenced, its removals are abandoned and everything is applied again. */
export async function rebindAgent(tx: Tx, agent: AgentRow): Promise<void> {
  requireNotDraining(agent);
  await life.unbindCluster(tx, agent.id);
  await life.fenceAgent(tx, agent.id);
  await announce(tx, 'agent', [agent.id]);
}

/** The identity that an agent presents when it starts. */
export interface AgentStart {
  readonly clusterId: string;
  readonly version: string;
  readonly kubernetesVersion: string;
  /** 0 for a start; the current incarnation when the agent only presents its inventory again. */
  readonly incarnation: bigint;
  readonly epoch: bigint;
  readonly held: readonly HeldDeployment[];
}

/**
 * Starts an agent: binds it to its cluster at the first start and issues the incarnation that fences all earlier starts. If its
 * inventory is newer than what the broker knows, a new epoch begins. Returns also what the agent was before.
 */
export async function startAgent(
  tx: Transaction,
  agentId: string,
  start: AgentStart,
): Promise<{ incarnation: bigint; epoch: bigint; before: life.StartState }> {
  await lockAgents(tx, [agentId]);
  const before = await life.readStartState(tx, agentId, identifiableDeployments(start.held));
  if (!before) throw new Refusal('not_found', 'agent not found', { field: 'agent' });
  requireCluster(before, start.clusterId);
  const current = BigInt(before.incarnation);
  if (start.incarnation !== 0n) requireIncarnation(current, start.incarnation);
  const presented = { epoch: start.epoch, order: highestOrder(start.held) };
  const { epoch } = await resolveRestore(tx, { id: agentId, name: before.name }, presented, start.held, before.known);
  const isSameStart = current !== 0n && start.incarnation === current;
  const incarnation = await life.writeStart(tx, agentId, { ...start, isSameStart, presented: start.incarnation });
  return { incarnation, epoch, before };
}

/**
 * Begins a new epoch if what an agent presents is newer than what the broker knows, which means that the broker was restored from an
 * older backup. After a restore the whole fleet presents such numbers at once: one agent begins the epoch, the others find it. An
 * epoch holds removals on all agents, so an agent begins at most one an hour; until then it is refused, and keeps what it has.
 */
export async function detectRestore(
  tx: Transaction,
  agent: { readonly id: string; readonly name: string },
  presented: { readonly epoch: bigint; readonly order: bigint },
  held: readonly HeldDeployment[],
): Promise<{ epoch: bigint; highestOrder: bigint }> {
  const known = await life.readBrokerState(tx, identifiableDeployments(held), { lock: false });
  return resolveRestore(tx, agent, presented, held, known);
}

async function resolveRestore(
  tx: Transaction,
  agent: { readonly id: string; readonly name: string },
  presented: { readonly epoch: bigint; readonly order: bigint },
  held: readonly HeldDeployment[],
  known: BrokerState,
): Promise<{ epoch: bigint; highestOrder: bigint }> {
  requirePlausible(presented, known);
  if (newerThanKnown(presented, known) === undefined) return known;
  await life.lockStatus(tx, agent.id);
  const locked = await life.readBrokerState(tx, identifiableDeployments(held), { lock: true });
  const newer = newerThanKnown(presented, locked);
  if (newer === undefined) return locked;
  if (!(await life.claimEpoch(tx, agent.id)))
    throw new Refusal(
      'failed_precondition',
      `agent "${agent.name}" presented ${newer}, and has begun an epoch within the hour`,
      {
        reason: 'EPOCH_TOO_SOON',
      },
    );
  const epoch = await beginEpoch(tx, `agent "${agent.name}" presented ${newer}`, presented);
  return { epoch, highestOrder: presented.order };
}

async function endAgent(tx: Tx, agentId: string): Promise<void> {
  await announce(tx, 'key', await keyIdsOfAgent(tx, agentId));
  await life.deleteAgentRow(tx, agentId);
  await announce(tx, 'agent', [agentId]);
}
