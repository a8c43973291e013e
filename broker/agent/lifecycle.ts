import type { Principal } from '../access/principal.ts';
import { agentKeys } from '../access/store.ts';
import { lockAgentSide } from '../placement/lock-store.ts';
import { updatePlacements } from '../placement/match-store.ts';
import { Refusal } from '../refusal.ts';
import { checkEtag } from '../resource.ts';
import type { Tx } from '../store/database.ts';
import { announce } from '../store/feed.ts';
import { beginEpoch } from '../store/installation.ts';
import * as life from './life-store.ts';
import {
  type AgentRow,
  type Held,
  heldDeployments,
  highestHeld,
  newerThanKnown,
  requireCluster,
  requireIncarnation,
  requireNotDraining,
  requirePlausible,
} from './rules.ts';
import { agentById, findAgent } from './store.ts';

/** Takes the agent side's locks, then reads the agent again: it may have changed while waiting. */
export async function lockedAgent(tx: Tx, principal: Principal, ref: string, etag = ''): Promise<AgentRow> {
  const found = await findAgent(tx, principal, ref, { draining: true });
  await lockAgentSide(tx, found.id);
  const row = await agentById(tx, found.id);
  checkEtag(etag, row.version);
  return row;
}

/**
 * Deletes an agent. It drains: what it serves becomes removals, and it goes on working until the last of them is acknowledged. One
 * that has nothing to remove, has never started, or is to leave its objects behind ends at once. Answers the agent as it was last.
 */
export async function deleteAgent(tx: Tx, agent: AgentRow, orphan: boolean): Promise<AgentRow> {
  if (agent.deleted_at === null) await life.markAgentDeleted(tx, agent.id);
  const deleted = await agentById(tx, agent.id);
  if (!orphan && agent.incarnation !== '0') {
    if (agent.deleted_at === null)
      await updatePlacements(tx, { agents: [agent.id], stacks: null }, 'the agent was deleted');
    await announce(tx, 'agent', [agent.id]);
    if (await life.hasPlacements(tx, agent.id)) return deleted;
  }
  await end(tx, agent.id);
  return deleted;
}

/**
 * Call it when a placement has ended, under the agent side's locks: an agent that is being deleted and has nothing left to remove
 * ends, and its keys with it. Returns whether it ended.
 */
export async function acknowledged(tx: Tx, agentId: string): Promise<boolean> {
  if (!(await life.isDrained(tx, agentId))) return false;
  await end(tx, agentId);
  return true;
}

/** Lets another cluster use the agent's keys: the old agent is fenced, its removals are abandoned, everything is applied anew. */
export async function rebindAgent(tx: Tx, agent: AgentRow): Promise<void> {
  requireNotDraining(agent);
  await life.unbindCluster(tx, agent.id);
  await life.fence(tx, agent.id);
  await announce(tx, 'agent', [agent.id]);
}

export interface Start {
  readonly clusterId: string;
  readonly version: string;
  readonly kubernetesVersion: string;
  /** 0 for a start; the current one when the agent only presents again what it holds. */
  readonly incarnation: bigint;
  readonly epoch: bigint;
  readonly held: readonly Held[];
}

/**
 * Binds an agent to its cluster at the first start and gives it the number that fences all earlier starts. When what it holds is
 * newer than what the broker knows, a new epoch begins. The agent's row lock must be held.
 */
export async function startAgent(
  tx: Tx,
  agent: AgentRow,
  start: Start,
): Promise<{ incarnation: bigint; epoch: bigint }> {
  requireCluster(agent, start.clusterId);
  const current = BigInt(agent.incarnation);
  if (start.incarnation !== 0n) requireIncarnation(current, start.incarnation);
  await life.bindCluster(tx, agent.id, start.clusterId);
  const again = current !== 0n && start.incarnation === current;
  const incarnation = again
    ? current
    : await life.startIncarnation(tx, agent.id, { ...start, presented: start.incarnation });
  const presented = { epoch: start.epoch, order: highestHeld(start.held) };
  const { epoch } = await noticeNewer(tx, agent, presented, start.held);
  await announce(tx, 'agent', [agent.id]);
  return { incarnation, epoch };
}

/**
 * The epoch, after a look at what an agent presents: when that is newer than what the broker knows, a new one begins. After a restore
 * the whole fleet notices at once: one begins the epoch, the others find it there. An epoch holds removals on all agents, so one agent
 * begins at most one an hour; until then it is refused, and keeps what it has.
 */
export async function noticeNewer(
  tx: Tx,
  agent: { readonly id: string; readonly name: string },
  presented: { readonly epoch: bigint; readonly order: bigint },
  held: readonly Held[],
): Promise<{ epoch: bigint; highestOrder: bigint }> {
  const deployments = heldDeployments(held);
  const seen = await life.known(tx, deployments, { lock: false });
  requirePlausible(presented, seen);
  if (newerThanKnown(presented, seen) === undefined) return seen;
  await life.lockStatus(tx, agent.id);
  const now = await life.known(tx, deployments, { lock: true });
  const newer = newerThanKnown(presented, now);
  if (newer === undefined) return now;
  if (!(await life.noteEpoch(tx, agent.id)))
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

async function end(tx: Tx, agentId: string): Promise<void> {
  await announce(tx, 'key', await agentKeys(tx, agentId));
  await life.deleteAgentRow(tx, agentId);
  await announce(tx, 'agent', [agentId]);
}
