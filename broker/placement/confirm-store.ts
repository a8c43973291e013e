import type { Tx } from '../store/database.ts';
import type { PlacementState } from './rules.ts';
import { heldKeysSql, orderSql, phaseJoins } from './store.ts';

/** Reads and locks a placement. Undefined when the agent neither serves nor removes the stack. */
export async function lockPlacement(
  tx: Tx,
  agentId: string,
  stackId: string,
): Promise<{ state: PlacementState; generation: bigint } | undefined> {
  const [row] = await tx.sql<{ state: PlacementState; generation: string }>(
    'select state, generation from placement where agent_id = $1 and stack_id = $2 for update',
    [agentId, stackId],
  );
  return row && { state: row.state, generation: BigInt(row.generation) };
}

/** Reads a placement's order. A submission takes the stack's row, so the order stays until the transaction ends. */
export async function lockOrder(tx: Tx, agentId: string, stackId: string): Promise<bigint | undefined> {
  const [row] = await tx.sql<{ order: string }>(
    `select ${orderSql} as "order" from placement p join stack s on s.id = p.stack_id
     where p.agent_id = $1 and p.stack_id = $2 for share of s`,
    [agentId, stackId],
  );
  return row && BigInt(row.order);
}

const isAhead = `(p.state = 'active' and exists (
  select from placement_status st where st.agent_id = p.agent_id and st.stack_id = p.stack_id
    and st.generation = p.generation and st.outcome = 'ahead'))`;

/**
 * Releases what is held: `heldKeys`, or, when that is empty, the keys that the agent reported for what is desired now. An agent that
 * is ahead gets a new generation, so that it moves to what is desired.
 */
export async function releaseHeld(
  tx: Tx,
  agentId: string,
  stackId: string,
  heldKeys: readonly string[],
): Promise<void> {
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

/** Deletes a placement without its agent. */
export async function deletePlacement(tx: Tx, agentId: string, stackId: string): Promise<void> {
  await tx.sql('delete from placement where agent_id = $1 and stack_id = $2', [agentId, stackId]);
}
