import { Refusal } from '../refusal.ts';
import type { Tx } from '../store/orm.ts';
import { forgetReports, heldKeysSql, orderSql, phaseJoins } from './store.ts';

/**
 * Lets what is held at this generation go on: a removal held by a new epoch, deletions that the agent held back, or an agent that is
 * ahead (which then moves to what is desired: it gets a new generation). Of the deletions only those of `heldKeys`, or of what the agent
 * reported for what is desired now when that is empty: what it would hold beyond them stays held. ABORTED when the placement has
 * another generation or order by now: somebody may have submitted what was never shown. The agent side's locks must be held.
 */
export async function confirmPlacement(
  tx: Tx,
  agentId: string,
  stackId: string,
  { generation, heldKeys, order }: { generation: bigint; heldKeys: readonly string[]; order: bigint },
): Promise<void> {
  if (heldKeys.length > 0 && order === 0n)
    throw new Refusal('invalid_argument', 'order: is needed with held_keys, which are of one order', {
      field: 'order',
    });
  await requireGeneration(tx, agentId, stackId, generation);
  await requireOrder(tx, agentId, stackId, order);
  await tx.sql(
    `update placement p set held = false, updated_at = now(),
       generation = case when ${isAhead} then nextval('order_seq') else p.generation end,
       confirmed_order = case when ${isAhead} then 0 else ${orderSql} end,
       confirmed_keys = case when cardinality($3::text[]) > 0 then array(select distinct unnest($3::text[]) order by 1)
         else (select ${heldKeysSql} ${phaseJoins} where p.agent_id = $1 and p.stack_id = $2) end
     from stack s where p.agent_id = $1 and p.stack_id = $2 and s.id = p.stack_id`,
    [agentId, stackId, [...heldKeys]],
  );
}

const isAhead = `(p.state = 'active' and exists (
  select from placement_status st where st.agent_id = p.agent_id and st.stack_id = p.stack_id
    and st.generation = p.generation and st.outcome = 'ahead'))`;

/** Ends a removal without its agent, for a cluster that is lost. FAILED_PRECONDITION for an active placement. */
export async function forgetPlacement(tx: Tx, agentId: string, stackId: string, generation: bigint): Promise<void> {
  const state = await requireGeneration(tx, agentId, stackId, generation);
  if (state !== 'removing')
    throw new Refusal('failed_precondition', 'the placement is active: there is no removal to forget', {
      reason: 'NOT_REMOVING',
    });
  await tx.sql('delete from placement where agent_id = $1 and stack_id = $2', [agentId, stackId]);
  await forgetReports(tx, agentId, [stackId]);
}

async function requireGeneration(
  tx: Tx,
  agentId: string,
  stackId: string,
  generation: bigint,
): Promise<'active' | 'removing'> {
  const [row] = await tx.sql<{ state: 'active' | 'removing'; generation: string }>(
    'select state, generation from placement where agent_id = $1 and stack_id = $2 for update',
    [agentId, stackId],
  );
  if (!row)
    throw new Refusal('not_found', 'the agent neither serves nor removes the stack', { reason: 'NO_SUCH_PLACEMENT' });
  if (BigInt(row.generation) !== generation) {
    throw new Refusal('aborted', `the placement is at generation ${row.generation} by now: look again`, {
      field: 'generation',
      reason: 'GENERATION_CHANGED',
    });
  }
  return row.state;
}

async function requireOrder(tx: Tx, agentId: string, stackId: string, order: bigint): Promise<void> {
  if (order === 0n) return;
  // A submission takes the stack's row, so what is read here stays until the confirmation is there.
  const [row] = await tx.sql<{ ord: string }>(
    `select ${orderSql} as ord from placement p join stack s on s.id = p.stack_id
     where p.agent_id = $1 and p.stack_id = $2 for share of s`,
    [agentId, stackId],
  );
  if (row && BigInt(row.ord) !== order)
    throw new Refusal('aborted', `the placement is at order ${row.ord} by now: look again`, {
      field: 'order',
      reason: 'ORDER_CHANGED',
    });
}
