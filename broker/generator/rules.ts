import type { GeneratorLimits } from '../../contract/generator-limits.ts';
import { halfOfBigint } from '../numbers.ts';
import { Refusal } from '../refusal.ts';

/** Whether an agent's wish to register is enough, or an admin has to approve it. */
export type Policy = 'open' | 'approve';
export type RegistrationState = 'registered' | 'requested';

export interface GeneratorRow {
  readonly id: string;
  readonly name: string;
  readonly description: string;
  readonly registration: Policy;
  readonly system: boolean;
  readonly version: string;
  readonly created_at: Date;
  readonly deleted_at: Date | null;
  readonly stack_count: number;
  readonly agent_count: number;
  readonly allow_namespaces: string[];
  readonly deny_namespaces: string[];
  readonly allow_kinds: string[];
  readonly deny_kinds: string[];
  readonly cluster_scoped: boolean;
  readonly quota_stacks: number;
  readonly quota_deployments: number;
  readonly quota_bytes: string;
}

/** How much a generator may keep; 0 means the default. */
export interface Quota {
  readonly stacks: number;
  readonly deploymentsPerStack: number;
  readonly manifestBytes: bigint;
}

const defaults: Quota = { stacks: 1_000, deploymentsPerStack: 100, manifestBytes: 1n << 30n };

export function limitsOf(row: GeneratorRow): GeneratorLimits {
  return {
    allowNamespaces: row.allow_namespaces,
    denyNamespaces: row.deny_namespaces,
    allowKinds: row.allow_kinds,
    denyKinds: row.deny_kinds,
    clusterScoped: row.cluster_scoped,
  };
}

/** What counts: the system generator has no quota but for what each stack keeps. */
export function quotaOf(row: GeneratorRow): Quota {
  const none = row.system;
  return {
    stacks: row.quota_stacks || (none ? Number.POSITIVE_INFINITY : defaults.stacks),
    deploymentsPerStack: row.quota_deployments || defaults.deploymentsPerStack,
    manifestBytes: BigInt(row.quota_bytes) || (none ? halfOfBigint : defaults.manifestBytes),
  };
}

/** Refuses one more stack than the quota allows, or twice that with those that still wait for their removal. The generator's exclusive lock makes the count certain. */
export function requireRoomForStack(generator: GeneratorRow, withDeleted: number): void {
  const { stacks } = quotaOf(generator);
  if (generator.stack_count < stacks && withDeleted < 2 * stacks) return;
  throw new Refusal(
    'resource_exhausted',
    `generator "${generator.name}" has ${generator.stack_count} stacks, all that its quota allows`,
    {
      field: 'name',
      reason: 'QUOTA_STACKS',
    },
  );
}

/** Refuses a change of a generator that is being deleted. */
export function requireLive(generator: GeneratorRow): void {
  if (generator.deleted_at === null) return;
  throw new Refusal('failed_precondition', `generator "${generator.name}" is being deleted`, {
    field: 'generator',
    reason: 'DELETED',
  });
}

/** The system generator owns what admins deploy; without it no agent could be made. */
export function requireDeletable(generator: GeneratorRow, cascade: boolean): void {
  requireLive(generator);
  if (generator.system) {
    throw new Refusal('failed_precondition', 'the system generator cannot be deleted', {
      field: 'generator',
      reason: 'SYSTEM_GENERATOR',
    });
  }
  if (generator.stack_count > 0 && !cascade) {
    throw new Refusal(
      'failed_precondition',
      `generator "${generator.name}" has ${generator.stack_count} stacks: delete them, or set cascade`,
      {
        field: 'cascade',
        reason: 'HAS_STACKS',
      },
    );
  }
}

/** Refuses a mask with a path that is not one of the given. */
export function checkMask(paths: readonly string[], known: readonly string[]): void {
  const unknown = paths.find((path) => !known.includes(path));
  if (unknown === undefined) return;
  throw new Refusal('invalid_argument', `update_mask: "${unknown}" is not one of ${known.join(', ')}`, {
    field: 'update_mask',
  });
}

/** What an agent's wish to register leads to: consent counts at once, or waits for an admin. */
export function stateFor(generator: GeneratorRow): RegistrationState {
  return generator.registration === 'approve' ? 'requested' : 'registered';
}
