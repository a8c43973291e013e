import { ownerOf, type Principal } from '../access/principal.ts';
import { findAgent } from '../agent/store.ts';
import { lockAgentSide } from '../placement/lock-store.ts';
import { updatePlacements } from '../placement/match-store.ts';
import { Refusal } from '../refusal.ts';
import { announce } from '../store/feed.ts';
import type { Tx } from '../store/orm.ts';
import { requireNotDeleted, type StackRow } from './rules.ts';
import * as store from './store.ts';

/** A stack and the agent that it is explicitly placed on. */
export interface Target {
  readonly stack: StackRow;
  readonly agent: { readonly id: string; readonly name: string };
  /** The names that the caller used. */
  readonly refs: TargetRefs;
}

interface TargetRefs {
  readonly stack: string;
  readonly agent: string;
}

/** Takes the agent side's locks for a target, then reads the stack again, because it may have changed meanwhile. */
export async function lockTarget(tx: Tx, principal: Principal, refs: TargetRefs): Promise<Target> {
  const owner = ownerOf(principal);
  const found = await store.findStack(tx, owner, refs.stack);
  const { id, name } = await findAgent(tx, principal, refs.agent);
  await lockAgentSide(tx, id, [found.generatorId]);
  return { stack: await store.findStack(tx, owner, found.id), agent: { id, name }, refs };
}

/** Adds a target and places the stack. FAILED_PRECONDITION when the agent is not registered with the stack's generator. */
export async function addTarget(tx: Tx, { stack, agent, refs }: Target): Promise<void> {
  if (!(await store.isRegistered(tx, agent.id, stack.generatorId))) {
    throw new Refusal(
      'failed_precondition',
      `agent "${agent.name}" is not registered with generator "${stack.generator}"`,
      { field: 'agent', reason: 'NOT_REGISTERED' },
    );
  }
  requireNotDeleted(stack, refs.stack);
  if (await store.insertTarget(tx, stack.id, agent.id)) await placeAgent(tx, agent.id, '');
}

/** Removes a target; the placement goes too, unless the stack matches the agent in another way. NOT_FOUND when there is none. */
export async function removeTarget(tx: Tx, { stack, agent, refs }: Target, principal: Principal): Promise<void> {
  if (!(await store.deleteTarget(tx, stack.id, agent.id))) {
    throw new Refusal('not_found', `stack "${refs.stack}" has no target "${refs.agent}"`);
  }
  await placeAgent(tx, agent.id, `the target was removed by ${principal.ownerName}`);
}

async function placeAgent(tx: Tx, agentId: string, removalReason: string): Promise<void> {
  await updatePlacements(tx, { agents: [agentId], stacks: null }, removalReason);
  await announce(tx, 'agent', [agentId]);
}
