import { orderSql } from '../placement/store.ts';
import type { Conflict, Drift, IgnoredFields } from '../stack/rules.ts';
import type { Database } from '../store/orm.ts';
import { digestOf, type Entry, type TargetGenerator, type TargetState } from './rules.ts';

interface IndexRow {
  readonly agent_id: string;
  readonly paused: boolean;
  readonly incarnation: string;
  readonly epoch: string;
  readonly stack_id: string | null;
  readonly stack: string;
  readonly generator: string;
  readonly deployment_id: string | null;
  readonly revision: number | null;
  readonly ord: string;
  readonly state: 'active' | 'removing';
  readonly generation: string;
  readonly checksum: Buffer | null;
  readonly size: number | null;
  readonly on_delete: 'prune' | 'orphan';
  readonly held: boolean;
  readonly confirmed: boolean;
  readonly confirmed_keys: string[];
  readonly kinds: string[] | null;
  readonly removal_reason: string;
  readonly service_account: string;
  readonly generator_id: string | null;
  readonly drift: Drift;
  readonly conflict: Conflict;
  readonly ignored_fields: IgnoredFields[];
  readonly depends_on_ids: string[] | null;
  readonly trace_parent: string | null;
}

interface LimitsRow {
  readonly id: string;
  readonly name: string;
  readonly allow_namespaces: string[];
  readonly deny_namespaces: string[];
  readonly allow_kinds: string[];
  readonly deny_kinds: string[];
  readonly cluster_scoped: boolean;
}

// A removal names the kinds of all the stack's revisions: the agent may still run an older one.
const indexSql = `
  select a.id as agent_id, a.paused, coalesce(ast.incarnation, 0) as incarnation, i.epoch, e.*
  from installation i
  join agent a on a.id = any($1)
  left join agent_status ast on ast.agent_id = a.id
  left join lateral (
    select p.stack_id, s.name as stack, g.name as generator, g.id as generator_id, p.service_account, d.id as deployment_id, d.revision, d.trace_parent, ${orderSql} as ord, p.state,
      p.generation, coalesce(p.manifest, d.checksum) as checksum, d.size, s.on_delete, p.held,
      p.confirmed_order = ${orderSql} as confirmed,
      case when p.confirmed_order = ${orderSql} then p.confirmed_keys else '{}' end as confirmed_keys, p.removal_reason, s.drift, s.conflict, s.ignored_fields,
      case when p.state = 'active' then array(
        select sd.depends_on_id::text from stack_dependency sd where sd.stack_id = p.stack_id order by sd.depends_on_id) end as depends_on_ids,
      case when p.state = 'removing' then array(
        select distinct unnest(k.kinds) from deployment k where k.stack_id = p.stack_id order by 1) end as kinds
    from placement p
    join stack s on s.id = p.stack_id
    join generator g on g.id = s.generator_id
    left join deployment d on d.id = coalesce(p.pin_deployment, s.current_deployment)
    where p.agent_id = a.id and not a.paused and (p.state = 'removing' or d.id is not null)
  ) e on true`;

const limitsSql = `select id, name, allow_namespaces, deny_namespaces, allow_kinds, deny_kinds, cluster_scoped
  from generator where id = any($1)`;

/** Reads the target states of a set of agents in two statements, whatever their number. An agent that does not exist is missing from the answer. */
export async function readTargetStates(db: Database, agentIds: readonly string[]): Promise<Map<string, TargetState>> {
  const rows = await db.read<IndexRow>('target-index', indexSql, [agentIds]);
  const generatorIds = [...new Set(rows.flatMap((row) => row.generator_id ?? []))];
  const generators =
    generatorIds.length > 0 ? await db.read<LimitsRow>('target-generators', limitsSql, [generatorIds]) : [];
  const limits = new Map(generators.map((row) => [row.id, toGenerator(row)]));
  const byAgent = Map.groupBy(rows, (row) => row.agent_id);
  return new Map([...byAgent].map(([agentId, agentRows]) => [agentId, toState(agentId, agentRows, limits)]));
}

function toGenerator(row: LimitsRow): TargetGenerator {
  return {
    generator: row.name,
    limits: {
      allowNamespaces: row.allow_namespaces,
      denyNamespaces: row.deny_namespaces,
      allowKinds: row.allow_kinds,
      denyKinds: row.deny_kinds,
      clusterScoped: row.cluster_scoped,
    },
  };
}

function toState(
  agentId: string,
  rows: readonly IndexRow[],
  limits: ReadonlyMap<string, TargetGenerator>,
): TargetState {
  const first = rows[0] as IndexRow;
  const entries = rows
    .filter((row) => row.stack_id !== null)
    .map(toEntry)
    .sort((a, b) => (a.stackId < b.stackId ? -1 : 1));
  const state = {
    agentId,
    epoch: BigInt(first.epoch),
    incarnation: BigInt(first.incarnation),
    paused: first.paused,
    entries,
    generators: [...new Set(rows.flatMap((row) => limits.get(row.generator_id ?? '') ?? []))].sort((a, b) =>
      a.generator < b.generator ? -1 : 1,
    ),
  };
  return { ...state, digest: digestOf(state) };
}

function toEntry(row: IndexRow): Entry {
  const active = row.state === 'active';
  return {
    stackId: row.stack_id as string,
    stack: row.stack,
    generator: row.generator,
    deploymentId: row.deployment_id ?? '',
    revision: row.revision ?? 0,
    order: BigInt(row.ord),
    state: row.state,
    generation: BigInt(row.generation),
    checksum: (active ? row.checksum : null) ?? Buffer.alloc(0),
    size: active ? (row.size ?? 0) : 0,
    onDelete: row.on_delete,
    held: row.held,
    confirmed: row.confirmed,
    confirmedKeys: row.confirmed_keys,
    kinds: row.kinds ?? [],
    reason: row.removal_reason,
    serviceAccount: row.service_account,
    drift: row.drift,
    conflict: row.conflict,
    ignoredFields: row.ignored_fields,
    dependsOnIds: row.depends_on_ids ?? [],
    traceParent: row.trace_parent ?? '',
  };
}

/** The agents that serve, or still have to remove, one of these stacks. */
export async function agentsOfStacks(db: Database, stackIds: readonly string[]): Promise<string[]> {
  const rows = await db.read<{ agent_id: string }>(
    'target-agents-of-stacks',
    'select distinct agent_id from placement where stack_id = any($1)',
    [stackIds],
  );
  return rows.map((row) => row.agent_id);
}

/** Which of these manifests, in hex, the stacks that the agent serves refer to, with their sizes; a removal needs none. */
export async function ownManifests(
  db: Database,
  agentId: string,
  checksums: readonly Buffer[],
): Promise<Map<string, number>> {
  const rows = await db.read<{ checksum: Buffer; size: number }>(
    'target-own-manifests',
    `select distinct m.checksum, case when p.manifest is null then d.size else length(m.data) end as size
     from placement p
     join stack s on s.id = p.stack_id
     join deployment d on d.id = coalesce(p.pin_deployment, s.current_deployment)
     join manifest m on m.checksum = coalesce(p.manifest, d.checksum)
     where p.agent_id = $1 and p.state = 'active' and m.checksum = any($2)`,
    [agentId, checksums],
  );
  return new Map(rows.map((row) => [row.checksum.toString('hex'), row.size]));
}

/**
 * Manifest bytes by checksum; one that cannot be decrypted is missing, so that it stops no other. The caller has checked whose they
 * are.
 */
export async function readManifests(db: Database, checksums: readonly Buffer[]): Promise<Map<string, Buffer>> {
  const rows = await db.read<{ checksum: Buffer; key_id: string; data: Buffer }>(
    'target-manifests',
    'select checksum, key_id, data from manifest where checksum = any($1)',
    [checksums],
  );
  const found = new Map<string, Buffer>();
  for (const { checksum, key_id: keyId, data } of rows) {
    try {
      found.set(checksum.toString('hex'), db.cipher.open(checksum, { keyId, data }));
    } catch {
      // Whoever needs it is told that it is missing.
    }
  }
  return found;
}
