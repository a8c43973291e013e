import { forgetReports } from '../placement/store.ts';
import type { Database, Sql, Transaction, Tx } from '../store/database.ts';
import type { BrokerState, HeldDeployment } from './rules.ts';

/** The rows on which the start of an agent is decided. */
export interface StartState {
  readonly name: string;
  readonly clusterId: string | null;
  /** 0 before the first start. */
  readonly incarnation: string;
  readonly known: BrokerState;
}

interface StartStateRow extends Omit<StartState, 'known'>, BrokerStateRow {}

/** Reads an agent that starts, and what its inventory is compared with. The agent's row must be locked. Undefined when it is gone. */
export async function readStartState(
  tx: Sql,
  agentId: string,
  held: readonly HeldDeployment[],
): Promise<StartState | undefined> {
  const [row] = await tx.sql<StartStateRow>(
    `select a.name, a.cluster_id as "clusterId", coalesce(st.incarnation, 0)::text as incarnation, i.epoch,
       i.started_at as "startedAt", ${inventoryColumns}
     from agent a left join agent_status st on st.agent_id = a.id left join installation i on true where a.id = $3`,
    [...inventoryParams(held), agentId],
  );
  if (!row) return undefined;
  const { name, clusterId, incarnation } = row;
  return { name, clusterId, incarnation, known: toBrokerState(row, row) };
}

/** An agent's start, to be written. */
export interface NewStart {
  readonly clusterId: string;
  /** The current incarnation is kept: the agent only presents its inventory again. */
  readonly isSameStart: boolean;
  readonly presented: bigint;
  readonly version: string;
  readonly kubernetesVersion: string;
}

// The token that created the agent ends with its first start, because the agent then has its key.
const boundSql = `
  with bound as (update agent set cluster_id = $2 where id = $1 and cluster_id is null),
  announced as (insert into change (kind, ref) values ('agent', $1))`;
const keptStartSql = `${boundSql} select $3::bigint as incarnation`;
const newStartSql = `${boundSql},
  before as (select coalesce((select incarnation from agent_status where agent_id = $1), 0) as incarnation),
  ended as (
    update pak set revoked_at = now()
    where id in (select e.pak_id from enrollment e, before where e.agent_id = $1 and before.incarnation = 0) and revoked_at is null
    returning id),
  announced_keys as (insert into change (kind, ref) select 'key', id from ended),
  started as (
    insert into agent_status as st (agent_id, incarnation, last_heartbeat_at, started_at, agent_version, kubernetes_version)
    values ($1, greatest($3::bigint, (select max(incarnation) from placement_status where agent_id = $1),
      (select max(incarnation) from placement_health where agent_id = $1)) + 1, now(), now(), $4, $5)
    on conflict (agent_id) do update set incarnation = greatest(st.incarnation + 1, excluded.incarnation), last_sequence = 0,
      last_heartbeat_at = now(), started_at = now(), agent_version = $4, kubernetes_version = $5, cluster_reachable = null,
      cluster_latency_ms = null, session_id = null
    returning incarnation)
  select incarnation from started`;

/**
 * Writes an agent's start: binds it to its cluster, unless it is bound to one, issues the next incarnation, ends the token that created
 * the agent, and announces the changes. The incarnation is above every one that was presented or reported: a restored database must not
 * issue one twice, or an old report would outrank a new one. The sequence of its events starts from 1 again.
 */
export async function writeStart(tx: Transaction, agentId: string, start: NewStart): Promise<bigint> {
  const params = [agentId, start.clusterId, start.presented];
  const [row] = start.isSameStart
    ? await tx.sql<{ incarnation: string }>(keptStartSql, params)
    : await tx.sql<{ incarnation: string }>(newStartSql, [...params, start.version, start.kubernetesVersion]);
  tx.wakeOnCommit();
  return BigInt(row?.incarnation ?? 0);
}

/** Fences every earlier start of an agent. */
export async function fenceAgent(tx: Tx, agentId: string): Promise<void> {
  await tx.sql('update agent_status set incarnation = incarnation + 1, last_sequence = 0 where agent_id = $1', [
    agentId,
  ]);
}

/** Claims an agent's right to begin an epoch. False when it has begun another one within the hour. */
export async function claimEpoch(tx: Sql, agentId: string): Promise<boolean> {
  const rows = await tx.sql(
    `update agent_status set epoch_begun_at = now()
     where agent_id = $1 and (epoch_begun_at is null or epoch_begun_at < now() - interval '1 hour') returning 1`,
    [agentId],
  );
  return rows.length > 0;
}

/** Reads what an agent's inventory is compared with. With `lock`, other agents that may begin an epoch wait. */
export async function readBrokerState(
  tx: Sql,
  held: readonly HeldDeployment[],
  { lock }: { lock: boolean },
): Promise<BrokerState> {
  const [installation] = await tx.sql<{ epoch: string; startedAt: Date }>(
    `select epoch, started_at as "startedAt" from installation ${lock ? 'for update' : ''}`,
  );
  // A separate statement, so that after a wait for the lock it sees what the other transaction has changed.
  const [row] = await tx.sql<{ highest: string; unknown: string[] }>(
    `select ${inventoryColumns}`,
    inventoryParams(held),
  );
  return toBrokerState(installation, row);
}

interface BrokerStateRow {
  readonly epoch: string;
  readonly startedAt: Date;
  readonly highest: string;
  readonly unknown: string[];
}

/** The highest order that was issued, and those of the deployments $2 of the stacks $1 that are missing without having been trimmed. */
const inventoryColumns = `(select last_value from order_seq) as highest, array(
  select h.deployment_id::text from unnest($1::uuid[], $2::uuid[]) as h(stack_id, deployment_id)
  join stack s on s.id = h.stack_id
  where not exists (select from deployment d where d.id = h.deployment_id)
    and (s.trimmed_through is null or h.deployment_id > s.trimmed_through)) as unknown`;

function inventoryParams(held: readonly HeldDeployment[]): unknown[] {
  return [held.map(({ stackId }) => stackId), held.map(({ deploymentId }) => deploymentId)];
}

function toBrokerState(
  installation: Pick<BrokerStateRow, 'epoch' | 'startedAt'> | undefined,
  row: Pick<BrokerStateRow, 'highest' | 'unknown'> | undefined,
): BrokerState {
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
export async function lockStatus(tx: Sql, agentId: string): Promise<void> {
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
