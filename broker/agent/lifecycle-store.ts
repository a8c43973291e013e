import { forgetReports } from '../placement/store.ts';
import type { Database, Tx } from '../store/orm.ts';
import type { BrokerState, HeldDeployment } from './rules.ts';

/** Binds an agent to a cluster, unless it is bound to one already. */
export async function bindCluster(tx: Tx, agentId: string, clusterId: string): Promise<void> {
  await tx.sql('update agent set cluster_id = $2 where id = $1 and cluster_id is null', [agentId, clusterId]);
}

/**
 * Issues the next incarnation, above every one that was presented or reported: a restored database must not issue one twice, or an old
 * report would outrank a new one. The sequence of its events starts from 1 again.
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

/** Fences every earlier start of an agent. */
export async function fenceAgent(tx: Tx, agentId: string): Promise<void> {
  await tx.sql('update agent_status set incarnation = incarnation + 1, last_sequence = 0 where agent_id = $1', [
    agentId,
  ]);
}

/** Claims an agent's right to begin an epoch. False when it has begun another one within the hour. */
export async function claimEpoch(tx: Tx, agentId: string): Promise<boolean> {
  const rows = await tx.sql(
    `update agent_status set epoch_begun_at = now()
     where agent_id = $1 and (epoch_begun_at is null or epoch_begun_at < now() - interval '1 hour') returning 1`,
    [agentId],
  );
  return rows.length > 0;
}

/** Reads what an agent's inventory is compared with. With `lock`, other agents that may begin an epoch wait. */
export async function readBrokerState(
  tx: Tx,
  held: readonly HeldDeployment[],
  { lock }: { lock: boolean },
): Promise<BrokerState> {
  const [installation] = await tx.sql<{ epoch: string; startedAt: Date }>(
    `select epoch, started_at as "startedAt" from installation ${lock ? 'for update' : ''}`,
  );
  // A separate statement, so that after a wait for the lock it sees what the other transaction has changed.
  const [row] = await tx.sql<{ highest: string; unknown: string[] }>(
    `select (select last_value from order_seq) as highest, array(
       select h.deployment_id::text from unnest($1::uuid[], $2::uuid[]) as h(stack_id, deployment_id)
       join stack s on s.id = h.stack_id
       where not exists (select from deployment d where d.id = h.deployment_id)
         and (s.trimmed_through is null or h.deployment_id > s.trimmed_through)) as unknown`,
    [held.map(({ stackId }) => stackId), held.map(({ deploymentId }) => deploymentId)],
  );
  return {
    epoch: BigInt(installation?.epoch ?? 0),
    epochStartedAt: installation?.startedAt ?? new Date(0),
    highestOrder: BigInt(row?.highest ?? 0),
    unknownDeployments: row?.unknown ?? [],
  };
}

/** Reads the epoch and the highest order that was issued. */
export async function readHighestOrder(db: Database): Promise<{ epoch: bigint; highestOrder: bigint }> {
  const [row] = await db.read<{ epoch: string; highest: string }>(
    'highest-order',
    'select epoch, (select last_value from order_seq) as highest from installation',
  );
  return { epoch: BigInt(row?.epoch ?? 0), highestOrder: BigInt(row?.highest ?? 0) };
}

/**
 * Detaches an agent from its cluster. Its removals there are abandoned, and everything that it serves must be applied again: each
 * placement gets a new generation, so that earlier reports no longer count. The agent side's locks must be held.
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
 * Locks an agent's status row. Take this lock before touching reports or the installation's row, in the order in which reports and
 * starts do it; otherwise the two deadlock.
 */
export async function lockStatus(tx: Tx, agentId: string): Promise<void> {
  await tx.sql('select 1 from agent_status where agent_id = $1 for update', [agentId]);
}

/** Marks an agent as deleted; it drains until its last removal is acknowledged. */
export async function markAgentDeleted(tx: Tx, agentId: string): Promise<void> {
  await tx.sql('update agent set deleted_at = now(), version = version + 1 where id = $1', [agentId]);
}

export async function hasPlacements(tx: Tx, agentId: string): Promise<boolean> {
  return (await tx.sql('select 1 from placement where agent_id = $1 limit 1', [agentId])).length > 0;
}

/** Answers whether an agent is being deleted and has nothing left to remove. */
export async function isDrained(tx: Tx, agentId: string): Promise<boolean> {
  const rows = await tx.sql(
    `select 1 from agent a where a.id = $1 and a.deleted_at is not null
       and not exists (select from placement p where p.agent_id = a.id)`,
    [agentId],
  );
  return rows.length > 0;
}

/** Deletes an agent's row with everything that belongs to it, its keys included. Its events stay until their retention ends. */
export async function deleteAgentRow(tx: Tx, agentId: string): Promise<void> {
  await lockStatus(tx, agentId);
  await tx.sql('delete from placement where agent_id = $1', [agentId]);
  await forgetReports(tx, agentId, null);
  await tx.sql('delete from agent where id = $1', [agentId]);
}
