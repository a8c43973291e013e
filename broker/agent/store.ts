import { defineEntity, p } from '@mikro-orm/postgresql';
import { v7 as uuid } from 'uuid';
import { ownerOf, type Principal } from '../access/principal.ts';
import { isOffered } from '../diagnostic/store.ts';
import { onlineForSql } from '../placement/store.ts';
import { Refusal } from '../refusal.ts';
import { isId } from '../resource.ts';
import type { Database, Sql, Tx } from '../store/database.ts';
import { refuseDuplicate } from '../store/errors.ts';
import type { AgentRow, ClusterState, Presence } from './rules.ts';

const AgentEntity = defineEntity({
  name: 'Agent',
  tableName: 'agent',
  properties: {
    id: p.uuid().primary(),
    name: p.string(),
    description: p.string(),
    paused: p.boolean().default(false),
    clusterId: p.string().fieldName('cluster_id').nullable(),
    deletedAt: p.datetime().fieldName('deleted_at').nullable(),
  },
});

const AgentStatusEntity = defineEntity({
  name: 'AgentStatus',
  tableName: 'agent_status',
  properties: {
    agentId: p.uuid().primary().fieldName('agent_id'),
  },
});

export const entities = [AgentEntity, AgentStatusEntity];

/** The columns of an AgentRow. With an owner ($1), `generators` holds only that generator. */
export const agentColumns = `a.id, a.name, a.description, a.paused, a.cluster_id as "clusterId", a.version, a.created_at as "createdAt",
  a.deleted_at as "deletedAt",
  array(select label from agent_label where agent_id = a.id order by 1) as labels,
  coalesce((select jsonb_object_agg(key, value) from agent_annotation where agent_id = a.id), '{}') as annotations,
  array(select g.name from registration r join generator g on g.id = r.generator_id
    where r.agent_id = a.id and r.state = 'registered' and ($1::uuid is null or g.id = $1) order by 1) as generators,
  coalesce(st.incarnation, 0) as incarnation, st.last_heartbeat_at as "lastHeartbeatAt",
  coalesce(st.agent_version, '') as "agentVersion", coalesce(st.kubernetes_version, '') as "kubernetesVersion",
  st.cluster_reachable as "clusterReachable", st.cluster_latency_ms as "clusterLatencyMs",
  case when st.session_id is not null and st.session_seen_at > now() - ${onlineForSql} then st.session_since end as "connectedAt"`;
export const agentJoins = 'from agent a left join agent_status st on st.agent_id = a.id';
/** True for agents that the owner ($1) may place stacks on; null means all agents. */
const isVisible = `($1::uuid is null or exists (
  select from registration r where r.agent_id = a.id and r.generator_id = $1 and r.state = 'registered'))`;

/**
 * Finds an agent by name or id: for an admin any agent, for a generator only one that is registered with it. With `draining`, an agent
 * that is being deleted is found too, after one that is not. NOT_FOUND otherwise.
 */
export async function findAgent(
  db: Sql,
  principal: Principal,
  ref: string,
  { draining = false }: { draining?: boolean } = {},
): Promise<AgentRow> {
  const [row] = await db.sql<AgentRow>(
    `select ${agentColumns} ${agentJoins}
     where ($4::uuid is null or a.id = $4) and ($2::text is null or a.name = $2) and ($3 or a.deleted_at is null) and ${isVisible}
     order by a.deleted_at is not null, a.id desc limit 1`,
    [ownerOf(principal), isId(ref) ? null : ref, draining, isId(ref) ? ref : null],
  );
  if (!row) throw new Refusal('not_found', `agent "${ref}" not found`, { field: 'agent' });
  return row;
}

/** Reads an agent, draining or not, as an admin sees it. NOT_FOUND when it is gone. */
export async function agentById(db: Sql, id: string): Promise<AgentRow> {
  const [row] = await db.sql<AgentRow>(`select ${agentColumns} ${agentJoins} where a.id = $2`, [null, id]);
  if (!row) throw new Refusal('not_found', 'agent not found', { field: 'agent' });
  return row;
}

export interface AgentFilter {
  /** Only agents registered with this generator; null means all. */
  readonly owner: string | null;
  readonly label: string;
  readonly showDeleted: boolean;
  readonly after: readonly string[] | undefined;
  readonly limit: number;
}

/** Lists agents in order of (name, id), at most `limit`. */
export async function listAgents(db: Sql, filter: AgentFilter): Promise<AgentRow[]> {
  return db.sql<AgentRow>(
    `select ${agentColumns} ${agentJoins}
     where ${isVisible} and ($2 or a.deleted_at is null)
       and ($3 = '' or exists (select from agent_label l where l.agent_id = a.id and l.label = $3))
       and ($4::text is null or (a.name, a.id) > ($4, $5::uuid))
     order by a.name, a.id limit $6`,
    [
      filter.owner,
      filter.showDeleted,
      filter.label,
      filter.after?.[0] ?? null,
      filter.after?.[1] ?? null,
      filter.limit,
    ],
  );
}

/** Writes a new agent and its status row. Returns its id. ALREADY_EXISTS when the name is taken. */
export async function insertAgent(tx: Tx, agent: { name: string; description: string }): Promise<string> {
  const id = uuid();
  try {
    await tx.em.insert(AgentEntity, { id, name: agent.name, description: agent.description });
  } catch (error) {
    refuseDuplicate(error, 'agent_name', `agent "${agent.name}" exists`);
  }
  await tx.em.insert(AgentStatusEntity, { agentId: id });
  return id;
}

export interface AgentEdit {
  readonly addLabels: readonly string[];
  readonly removeLabels: readonly string[];
  readonly setAnnotations: Readonly<Record<string, string>>;
  readonly removeAnnotations: readonly string[];
}

/** Adds and removes single labels and annotations, so that two writers do not overwrite each other. Removing comes first. */
export async function editLabels(tx: Tx, id: string, edit: AgentEdit): Promise<void> {
  await tx.sql('delete from agent_label where agent_id = $1 and label = any($2)', [id, edit.removeLabels]);
  await tx.sql('insert into agent_label (agent_id, label) select $1, unnest($2::text[]) on conflict do nothing', [
    id,
    edit.addLabels,
  ]);
  await tx.sql('delete from agent_annotation where agent_id = $1 and key = any($2)', [id, edit.removeAnnotations]);
  await tx.sql(
    `insert into agent_annotation (agent_id, key, value) select $1, * from unnest($2::text[], $3::text[])
     on conflict (agent_id, key) do update set value = excluded.value`,
    [id, Object.keys(edit.setAnnotations), Object.values(edit.setAnnotations)],
  );
}

/** Writes what is given and increments the version, which is the etag. */
export async function updateAgent(
  tx: Tx,
  id: string,
  change: { description?: string; paused?: boolean },
): Promise<void> {
  await tx.sql(
    'update agent set description = coalesce($2, description), paused = coalesce($3, paused), version = version + 1 where id = $1',
    [id, change.description ?? null, change.paused ?? null],
  );
}

/** An agent's heartbeat that is not written yet. */
export interface Heartbeat {
  readonly incarnation: bigint;
  /** Undefined when the heartbeat said nothing about the cluster. */
  readonly cluster: ClusterState | undefined;
  /** The session that it came by; undefined for a Heartbeat call. */
  readonly presence: Presence | undefined;
}

/**
 * Writes the latest heartbeats of many agents in one statement, except those of replaced incarnations. Returns the ids of the agents
 * that have a diagnostic to answer.
 */
export async function writeHeartbeats(db: Database, heartbeats: ReadonlyMap<string, Heartbeat>): Promise<string[]> {
  const rows = await db.read<{ agentId: string; hasDiagnostic: boolean }>('agent-heartbeats', heartbeatSql, [
    JSON.stringify(
      [...heartbeats].map(([agentId, { incarnation, cluster, presence }]) => ({
        id: agentId,
        incarnation: String(incarnation),
        reachable: cluster?.reachable,
        latency_ms: cluster?.latencyMs,
        session_id: presence?.id,
        since: presence?.since,
      })),
    ),
  ]);
  return rows.filter((row) => row.hasDiagnostic).map((row) => row.agentId);
}

// A locked row is being written by the agent's own report, which counts as a heartbeat; waiting for it would delay all others. Only a
// later session replaces one, unless nothing has been heard of it for too long.
const heartbeatSql = `
  with due as (
    select st.agent_id, h.*, h.session_id is not null and (st.session_id is null or st.session_id = h.session_id
      or st.session_since <= h.since or st.session_seen_at < now() - ${onlineForSql}) as present
    from agent_status st
    join jsonb_to_recordset($1::jsonb) as h(id uuid, incarnation bigint, reachable boolean, latency_ms int, session_id uuid, since timestamptz)
      on h.id = st.agent_id
    where h.incarnation >= st.incarnation order by st.agent_id for no key update of st skip locked)
  update agent_status st set last_heartbeat_at = now(),
    cluster_reachable = coalesce(due.reachable, st.cluster_reachable),
    cluster_latency_ms = case when due.reachable is null then st.cluster_latency_ms else due.latency_ms end,
    session_id = case when due.present then due.session_id else st.session_id end,
    session_since = case when due.present then due.since else st.session_since end,
    session_seen_at = case when due.present then now() else st.session_seen_at end
  from due where due.agent_id = st.agent_id
  returning st.agent_id as "agentId", exists (
    select from diagnostic d where d.agent_id = st.agent_id and d.state in ('pending', 'claimed') and ${isOffered('st.incarnation')}) as "hasDiagnostic"`;

/** Ends sessions; an agent that has a newer session keeps that one. */
export async function endSessions(
  db: Database,
  sessions: readonly (readonly [agentId: string, sessionId: string])[],
): Promise<void> {
  await db.read(
    'agent-sessions-ended',
    `with ended as (
       select st.agent_id from agent_status st join unnest($1::uuid[], $2::uuid[]) as e(agent_id, session_id)
         on e.agent_id = st.agent_id and e.session_id = st.session_id
       order by st.agent_id for no key update of st)
     update agent_status st set session_id = null from ended where ended.agent_id = st.agent_id`,
    [sessions.map(([agentId]) => agentId), sessions.map(([, sessionId]) => sessionId)],
  );
}
