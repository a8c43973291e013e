import { defineEntity, p } from '@mikro-orm/postgresql';
import { v7 as uuid } from 'uuid';
import { Refusal } from '../refusal.ts';
import { ownerOf, type Principal } from '../rpc/principal.ts';
import { isId } from '../stack/rules.ts';
import { type Database, refuseDuplicate, type Sql, type Tx } from '../store/orm.ts';
import type { AgentRow } from './rules.ts';

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

/** `owner` ($1) limits what a generator sees: of the registrations only its own, and only agents that it may place stacks on. */
const columns = `a.id, a.name, a.description, a.paused, a.cluster_id, a.version, a.created_at, a.deleted_at,
  array(select label from agent_label where agent_id = a.id order by 1) as labels,
  coalesce((select jsonb_object_agg(key, value) from agent_annotation where agent_id = a.id), '{}') as annotations,
  array(select g.name from registration r join generator g on g.id = r.generator_id
    where r.agent_id = a.id and r.state = 'registered' and ($1::uuid is null or g.id = $1) order by 1) as generators,
  coalesce(st.incarnation, 0) as incarnation, st.last_heartbeat_at, coalesce(st.agent_version, '') as agent_version,
  coalesce(st.kubernetes_version, '') as kubernetes_version`;
const from = 'from agent a left join agent_status st on st.agent_id = a.id';
const visible = `($1::uuid is null or exists (
  select from registration r where r.agent_id = a.id and r.generator_id = $1 and r.state = 'registered'))`;

/**
 * Finds an agent by name or id, a live one first: for an admin any, for a generator one that is registered with it. With
 * `draining`, also one that is being deleted. NOT_FOUND otherwise.
 */
export async function findAgent(
  db: Sql,
  principal: Principal,
  ref: string,
  { draining = false }: { draining?: boolean } = {},
): Promise<AgentRow> {
  const [row] = await db.sql<AgentRow>(
    `select ${columns} ${from}
     where ($4::uuid is null or a.id = $4) and ($2::text is null or a.name = $2) and ($3 or a.deleted_at is null) and ${visible}
     order by a.deleted_at is not null, a.id desc limit 1`,
    [ownerOf(principal), isId(ref) ? null : ref, draining, isId(ref) ? ref : null],
  );
  if (!row) throw new Refusal('missing', `agent "${ref}" not found`, { field: 'agent' });
  return row;
}

/** The agent with an id, draining or not, as an admin sees it. */
export async function agentById(db: Sql, id: string): Promise<AgentRow> {
  const [row] = await db.sql<AgentRow>(`select ${columns} ${from} where a.id = $2`, [null, id]);
  if (!row) throw new Refusal('missing', 'agent not found', { field: 'agent' });
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

/** Agents in order of (name, id), at most `limit`. */
export async function listAgents(db: Sql, filter: AgentFilter): Promise<AgentRow[]> {
  return db.sql<AgentRow>(
    `select ${columns} ${from}
     where ${visible} and ($2 or a.deleted_at is null)
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
export async function editAgent(tx: Tx, id: string, edit: AgentEdit): Promise<void> {
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

/** Writes what is given, and counts the version, which is the etag. */
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

/** Writes the latest heartbeats of many agents in one statement; those of a replaced incarnation do not count. */
export async function writeHeartbeats(db: Database, beats: ReadonlyMap<string, bigint>): Promise<void> {
  // A locked row is being written by the agent's own report, which counts as a heartbeat: waiting for it would hold up all others.
  await db.read(
    'agent-heartbeats',
    `with due as (
       select st.agent_id from agent_status st join unnest($1::uuid[], $2::bigint[]) as h(agent_id, incarnation) on h.agent_id = st.agent_id
       where h.incarnation >= st.incarnation order by st.agent_id for no key update of st skip locked)
     update agent_status st set last_heartbeat_at = now() from due where due.agent_id = st.agent_id`,
    [[...beats.keys()], [...beats.values()]],
  );
}
