import { Refusal } from '../refusal.ts';
import type { Tx } from '../store/database.ts';
import { deletePlacement, lockOrder, lockPlacement, releaseHeld } from './confirm-store.ts';
import type { PlacementState } from './rules.ts';
import { forgetReports } from './store.ts';

/**
 * Confirms what is held at this generation: a removal held by a new epoch, deletions that the agent holds back, or an agent that is
 * ahead, which then moves to what is desired. With `heldKeys` only these deletions are confirmed; otherwise those that the agent
 * reported for what is desired now. ABORTED when the placement has another generation or order by now, because somebody may have
 * submitted what the caller has never seen. The agent side's locks must be held.
 */
export async function confirmPlacement(
  tx: Tx,
  agentId: string,
  stackId: string,
  { generation, heldKeys, order }: { generation: bigint; heldKeys: readonly string[]; order: bigint },
): Promise<void> {
  if (heldKeys.length > 0 && order === 0n)
    throw new Refusal('invalid_argument', 'order: required with held_keys, which belong to one order', {
      field: 'order',
    });
  await requireGeneration(tx, agentId, stackId, generation);
  await requireOrder(tx, agentId, stackId, order);
  await releaseHeld(tx, agentId, stackId, heldKeys);
}

/** Ends a removal without its agent, for a cluster that is lost. FAILED_PRECONDITION for an active placement. */
export async function forgetPlacement(tx: Tx, agentId: string, stackId: string, generation: bigint): Promise<void> {
  const state = await requireGeneration(tx, agentId, stackId, generation);
  if (state !== 'removing')
    throw new Refusal('failed_precondition', 'the placement is active: there is no removal to forget', {
      reason: 'NOT_REMOVING',
    });
  await deletePlacement(tx, agentId, stackId);
  await forgetReports(tx, agentId, [stackId]);
}

async function requireGeneration(
  tx: Tx,
  agentId: string,
  stackId: string,
  generation: bigint,
): Promise<PlacementState> {
  const placement = await lockPlacement(tx, agentId, stackId);
  if (!placement)
    throw new Refusal('not_found', 'the agent neither serves nor removes the stack', { reason: 'NO_SUCH_PLACEMENT' });
  if (placement.generation !== generation) {
    throw new Refusal('aborted', `the placement is now at generation ${placement.generation}: read it again`, {
      field: 'generation',
      reason: 'GENERATION_CHANGED',
    });
  }
  return placement.state;
}

async function requireOrder(tx: Tx, agentId: string, stackId: string, order: bigint): Promise<void> {
  if (order === 0n) return;
  const current = await lockOrder(tx, agentId, stackId);
  if (current !== undefined && current !== order)
    throw new Refusal('aborted', `the placement is now at order ${current}: read it again`, {
      field: 'order',
      reason: 'ORDER_CHANGED',
    });
}
