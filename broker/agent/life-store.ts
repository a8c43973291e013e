import { forgetReports } from '../placement/store.ts';
import type { Database, Tx } from '../store/database.ts';
import type { Held, Known } from './rules.ts';

/** Binds an agent to its cluster, if it is bound to none. */
export async function bindCluster(tx: Tx, agentId: string, clusterId: string): Promise<void> {
  await tx.sql('update agent set cluster_id = $2 where id = $1 and cluster_id is null', [agentId, clusterId]);
}

/**
 * Gives out the next incarnation, above all that anybody has presented: a restored database must not give one out twice, or an old
 * report would outrank a new one. Its events count from 1 again.
 */
export async function startIncarnation(
  tx: Tx,
  agentId: string,
  start: { presented: bigint; version: string; kubernetesVersion: string },
): Promise<bigint> {
  const [row] = await tx.sql<{ incarnation: string }>(
    `insert into agent_status as st (agent_id, incarnation, last_heartbeat_at, started_at, agent_version, kubernetes_version)
     values ($1, greatest($2::bigint, (select max(incarnation) from placement_status where agent_id = $1),
       (select max(incarnation) from placement_health where agent_id = $1)) + 1, now(), now(), $3, $4)
     on conflict (agent_id) do update set incarnation = greatest(st.incarnation + 1, excluded.incarnation), last_sequence = 0,
       last_heartbeat_at = now(), started_at = now(), agent_version = $3, kubernetes_version = $4, cluster_reachable = null,
       cluster_latency_ms = null, session_id = null
     returning incarnation`,
    [agentId, start.presented, start.version, start.kubernetesVersion],
  );
  return BigInt(row?.incarnation ?? 0);
}

/** Fences every agent that has started so far. */
export async function fence(tx: Tx, agentId: string): Promise<void> {
  await tx.sql('update agent_status set incarnation = incarnation + 1, last_sequence = 0 where agent_id = $1', [
    agentId,
  ]);
}

/** Notes that an agent begins an epoch. False when it has begun another one within the hour. */
export async function noteEpoch(tx: Tx, agentId: string): Promise<boolean> {
  const rows = await tx.sql(
    `update agent_status set epoch_begun_at = now()
     where agent_id = $1 and (epoch_begun_at is null or epoch_begun_at < now() - interval '1 hour') returning 1`,
    [agentId],
  );
  return rows.length > 0;
}

/** What to compare an agent's inventory with. With `lock`, other agents that may start an epoch wait. */
export async function known(tx: Tx, held: readonly Held[], { lock }: { lock: boolean }): Promise<Known> {
  const [installation] = await tx.sql<{ epoch: string; started_at: Date }>(
    `select epoch, started_at from installation ${lock ? 'for update' : ''}`,
  );
  // A statement of its own: after a wait for the lock, it sees what the other one has changed.
  const [row] = await tx.sql<{ highest: string; unknown: string[] }>(
    `select (select last_value from order_seq) as highest, array(
       select h.deployment_id::text from unnest($1::uuid[], $2::uuid[]) as h(stack_id, deployment_id)
       join stack s on s.id = h.stack_id
       where not exists (select from deployment d where d.id = h.deployment_id)
         and (s.trimmed_through is null or h.deployment_id > s.trimmed_through)) as unknown`,
    [held.map((one) => one.stackId), held.map((one) => one.deploymentId)],
  );
  return {
    epoch: BigInt(installation?.epoch ?? 0),
    epochStartedAt: installation?.started_at ?? new Date(0),
    highestOrder: BigInt(row?.highest ?? 0),
    unknownDeployments: row?.unknown ?? [],
  };
}

/** The epoch and the highest order that was given out. */
export async function readHighest(db: Database): Promise<{ epoch: bigint; highestOrder: bigint }> {
  const [row] = await db.read<{ epoch: string; highest: string }>(
    'highest-order',
    'select epoch, (select last_value from order_seq) as highest from installation',
  );
  return { epoch: BigInt(row?.epoch ?? 0), highestOrder: BigInt(row?.highest ?? 0) };
}

/**
 * Detaches an agent from its cluster: what it serves is to be applied anew (each placement gets a new generation, so that no earlier
 * report is about it), and what it should remove there is abandoned. The agent side's locks must be held.
 */
export async function unbindCluster(tx: Tx, agentId: string): Promise<void> {
  await lockStatus(tx, agentId);
  await tx.sql('update agent set cluster_id = null, version = version + 1 where id = $1', [agentId]);
  await tx.sql(`delete from placement where agent_id = $1 and state = 'removing'`, [agentId]);
  await tx.sql(
    `update placement set generation = nextval('order_seq'), held = false, confirmed_order = 0, updated_at = now() where agent_id = $1`,
    [agentId],
  );
  await forgetReports(tx, agentId, null);
}

/**
 * Before what was reported is touched, as reports do it, and before the installation's row, as a start does it: the other way round,
 * the two would wait for each other.
 */
export async function lockStatus(tx: Tx, agentId: string): Promise<void> {
  await tx.sql('select 1 from agent_status where agent_id = $1 for update', [agentId]);
}

export async function markAgentDeleted(tx: Tx, agentId: string): Promise<void> {
  await tx.sql('update agent set deleted_at = now(), version = version + 1 where id = $1', [agentId]);
}

export async function hasPlacements(tx: Tx, agentId: string): Promise<boolean> {
  return (await tx.sql('select 1 from placement where agent_id = $1 limit 1', [agentId])).length > 0;
}

/** Whether an agent is being deleted and has nothing left to remove. */
export async function isDrained(tx: Tx, agentId: string): Promise<boolean> {
  const rows = await tx.sql(
    `select 1 from agent a where a.id = $1 and a.deleted_at is not null
       and not exists (select from placement p where p.agent_id = a.id)`,
    [agentId],
  );
  return rows.length > 0;
}

/** Removes an agent with all that belongs to it, its keys too. Its events stay until their time is over. */
export async function deleteAgentRow(tx: Tx, agentId: string): Promise<void> {
  await lockStatus(tx, agentId);
  await tx.sql('delete from placement where agent_id = $1', [agentId]);
  await forgetReports(tx, agentId, null);
  await tx.sql('delete from agent where id = $1', [agentId]);
}
