import { createHash } from 'node:crypto';
import { hashTargetState } from '../../contract/target-digest.ts';
import type { IgnoredFields, TargetEntry, TargetGenerator } from '../../contract/target-state.ts';
import { orderSql } from '../placement/store.ts';
import type { Database } from '../store/database.ts';
import { checkInstallation, isRestoredSql } from '../store/installation.ts';
import type { AgentTargetState } from './rules.ts';

/** An agent, and one of its placements; without any, everything from `stackId` on is null. */
interface IndexRow {
  readonly agentId: string;
  readonly paused: boolean;
  readonly incarnation: string;
  readonly epoch: string;
  readonly isRestored: boolean;
  readonly stackId: string | null;
  readonly stack: string;
  readonly generator: string;
  readonly generatorId: string | null;
  readonly serviceAccount: string;
  readonly deploymentId: string | null;
  readonly revision: number | null;
  readonly traceParent: string | null;
  readonly order: string;
  readonly state: TargetEntry['state'];
  readonly generation: string;
  readonly checksum: Buffer | null;
  readonly size: number | null;
  readonly onDelete: TargetEntry['onDelete'];
  readonly held: boolean;
  readonly confirmed: boolean;
  readonly confirmedKeys: string[];
  readonly reason: string;
  readonly drift: TargetEntry['drift'];
  readonly conflict: TargetEntry['conflict'];
  readonly ignoredFields: IgnoredFields[];
  readonly forceReplace: boolean;
  readonly dependsOnIds: string[] | null;
  readonly kinds: string[] | null;
}

interface LimitsRow {
  readonly id: string;
  readonly generator: string;
  readonly allowNamespaces: string[];
  readonly denyNamespaces: string[];
  readonly allowKinds: string[];
  readonly denyKinds: string[];
  readonly clusterScoped: boolean;
}

// A removal names the kinds of all the stack's revisions, because the agent may still run an older one.
const indexSql = `
  select a.id as "agentId", a.paused, coalesce(ast.incarnation, 0) as incarnation, i.epoch, ${isRestoredSql} as "isRestored", e.*
  from installation i
  join agent a on a.id = any($1)
  left join agent_status ast on ast.agent_id = a.id
  left join lateral (
    select p.stack_id as "stackId", s.name as stack, g.name as generator, g.id as "generatorId", p.service_account as "serviceAccount",
      d.id as "deploymentId", d.revision, d.trace_parent as "traceParent", ${orderSql} as "order", p.state, p.generation,
      coalesce(p.manifest, d.checksum) as checksum, d.size, s.on_delete as "onDelete", p.held,
      p.confirmed_order = ${orderSql} as confirmed,
      case when p.confirmed_order = ${orderSql} then p.confirmed_keys else '{}' end as "confirmedKeys",
      p.removal_reason as reason, s.drift, s.conflict, s.ignored_fields as "ignoredFields",
      s.force_replace as "forceReplace",
      case when p.state = 'active' then array(
        select sd.depends_on_id::text from stack_dependency sd where sd.stack_id = p.stack_id order by sd.depends_on_id) end as "dependsOnIds",
      case when p.state = 'removing' then array(
        select distinct unnest(k.kinds) from deployment k where k.stack_id = p.stack_id order by 1) end as kinds
    from placement p
    join stack s on s.id = p.stack_id
    join generator g on g.id = s.generator_id
    left join deployment d on d.id = coalesce(p.pin_deployment, s.current_deployment)
    where p.agent_id = a.id and not a.paused and (p.state = 'removing' or d.id is not null)
  ) e on true`;

const limitsSql = `
  select id, name as generator, allow_namespaces as "allowNamespaces", deny_namespaces as "denyNamespaces", allow_kinds as "allowKinds",
    deny_kinds as "denyKinds", cluster_scoped as "clusterScoped"
  from generator where id = any($1)`;

/**
 * Reads the target states of agents, in two statements whatever their number. When it finds that the database was restored, a new epoch
 * begins first. The result has no entry for an agent that does not exist.
 */
export async function readTargetStates(
  db: Database,
  agentIds: readonly string[],
): Promise<Map<string, AgentTargetState>> {
  let rows = await db.read<IndexRow>('target-index', indexSql, [agentIds]);
  if (rows[0]?.isRestored) {
    // Nothing of this read may be told to an agent: removals from before the restore are held first.
    await checkInstallation(db);
    rows = await db.read<IndexRow>('target-index', indexSql, [agentIds]);
    if (rows[0]?.isRestored) throw new Error('the database was restored, and no new epoch could begin');
  }
  const generatorIds = [...new Set(rows.flatMap((row) => row.generatorId ?? []))];
  const limitsRows =
    generatorIds.length > 0 ? await db.read<LimitsRow>('target-generators', limitsSql, [generatorIds]) : [];
  const generators = new Map(
    limitsRows.map(({ id, generator, ...limits }): [string, TargetGenerator] => [id, { generator, limits }]),
  );
  const byAgent = Map.groupBy(rows, (row) => row.agentId);
  return new Map([...byAgent].map(([agentId, agentRows]) => [agentId, toState(agentId, agentRows, generators)]));
}

function toState(
  agentId: string,
  rows: readonly IndexRow[],
  generators: ReadonlyMap<string, TargetGenerator>,
): AgentTargetState {
  const first = rows[0] as IndexRow;
  const entries = rows
    .filter((row) => row.stackId !== null)
    .map(toEntry)
    .sort((a, b) => (a.stackId < b.stackId ? -1 : 1));
  const state = {
    agentId,
    epoch: BigInt(first.epoch),
    incarnation: BigInt(first.incarnation),
    paused: first.paused,
    entries,
    generators: [...new Set(rows.flatMap((row) => generators.get(row.generatorId ?? '') ?? []))].sort((a, b) =>
      a.generator < b.generator ? -1 : 1,
    ),
  };
  return { ...state, digest: hashTargetState(state, createHash('sha256')).digest() };
}

function toEntry(row: IndexRow): TargetEntry {
  const isActive = row.state === 'active';
  return {
    stackId: row.stackId as string,
    stack: row.stack,
    generator: row.generator,
    deploymentId: row.deploymentId ?? '',
    revision: row.revision ?? 0,
    order: BigInt(row.order),
    state: row.state,
    generation: BigInt(row.generation),
    checksum: isActive ? (row.checksum?.toString('hex') ?? '') : '',
    size: isActive ? (row.size ?? 0) : 0,
    onDelete: row.onDelete,
    held: row.held,
    confirmed: row.confirmed,
    confirmedKeys: row.confirmedKeys,
    kinds: row.kinds ?? [],
    reason: row.reason,
    serviceAccount: row.serviceAccount,
    drift: row.drift,
    conflict: row.conflict,
    ignoredFields: row.ignoredFields,
    forceReplace: row.forceReplace,
    dependsOnIds: row.dependsOnIds ?? [],
    traceParent: row.traceParent ?? '',
  };
}

/** Lists the agents that serve, or still have to remove, at least one of these stacks. */
export async function agentsOfStacks(db: Database, stackIds: readonly string[]): Promise<string[]> {
  const rows = await db.read<{ agentId: string }>(
    'target-agents-of-stacks',
    'select distinct agent_id as "agentId" from placement where stack_id = any($1)',
    [stackIds],
  );
  return rows.map(({ agentId }) => agentId);
}

/** Returns the sizes, by hex checksum, of those manifests that stacks of the agent refer to. A removal refers to none. */
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
 * Reads manifests, by hex checksum. One that cannot be decrypted is left out, so that the others are still delivered. The caller has
 * checked that the agent may have them.
 */
export async function readManifests(db: Database, checksums: readonly Buffer[]): Promise<Map<string, Buffer>> {
  const rows = await db.read<{ checksum: Buffer; keyId: string; data: Buffer }>(
    'target-manifests',
    'select checksum, key_id as "keyId", data from manifest where checksum = any($1)',
    [checksums],
  );
  const manifests = new Map<string, Buffer>();
  for (const { checksum, keyId, data } of rows) {
    try {
      manifests.set(checksum.toString('hex'), db.cipher.open(checksum, { keyId, data }));
    } catch {
      // The caller reports it as missing.
    }
  }
  return manifests;
}
