import type { GeneratorLimits } from '../../contract/generator-limits.ts';
import { halfOfBigint } from '../numbers.ts';
import { Refusal } from '../refusal.ts';

/** Decides whether an agent registers by itself, or an admin has to approve it. */
export type Policy = 'open' | 'approve';
export type RegistrationState = 'registered' | 'requested';

export interface GeneratorRow {
  readonly id: string;
  readonly name: string;
  readonly description: string;
  readonly registration: Policy;
  readonly system: boolean;
  readonly version: string;
  readonly createdAt: Date;
  readonly deletedAt: Date | null;
  readonly stackCount: number;
  readonly agentCount: number;
  readonly allowNamespaces: string[];
  readonly denyNamespaces: string[];
  readonly allowKinds: string[];
  readonly denyKinds: string[];
  readonly clusterScoped: boolean;
  readonly quotaStacks: number;
  readonly quotaDeployments: number;
  readonly quotaBytes: string;
}

/** The rules and quotas of a generator. */
export type GeneratorRules = Pick<
  GeneratorRow,
  | 'id'
  | 'name'
  | 'system'
  | 'allowNamespaces'
  | 'denyNamespaces'
  | 'allowKinds'
  | 'denyKinds'
  | 'clusterScoped'
  | 'quotaStacks'
  | 'quotaDeployments'
  | 'quotaBytes'
>;

/** Limits of what a generator may keep; 0 means the default. */
export interface Quota {
  readonly stacks: number;
  readonly deploymentsPerStack: number;
  readonly manifestBytes: bigint;
}

const defaults: Quota = { stacks: 1_000, deploymentsPerStack: 100, manifestBytes: 1n << 30n };

/** Returns the limits on what a generator may deploy. */
export function limitsOf(row: GeneratorRules): GeneratorLimits {
  return {
    allowNamespaces: row.allowNamespaces,
    denyNamespaces: row.denyNamespaces,
    allowKinds: row.allowKinds,
    denyKinds: row.denyKinds,
    clusterScoped: row.clusterScoped,
  };
}

/** Returns the quota in force. The system generator has none, except for the deployments that each stack keeps. */
export function quotaOf(row: GeneratorRules): Quota {
  const isUnlimited = row.system;
  return {
    stacks: row.quotaStacks || (isUnlimited ? Number.POSITIVE_INFINITY : defaults.stacks),
    deploymentsPerStack: row.quotaDeployments || defaults.deploymentsPerStack,
    manifestBytes: BigInt(row.quotaBytes) || (isUnlimited ? halfOfBigint : defaults.manifestBytes),
  };
}

/**
 * Refuses one more stack than the quota allows; stacks whose removal is not acknowledged yet may double that number. The generator's
 * exclusive lock must be held, so that the counts stay true.
 */
export function requireRoomForStack(generator: GeneratorRow, countWithDeleted: number): void {
  const { stacks } = quotaOf(generator);
  if (generator.stackCount < stacks && countWithDeleted < 2 * stacks) return;
  throw new Refusal(
    'resource_exhausted',
    `generator "${generator.name}" has ${generator.stackCount} stacks, all that its quota allows`,
    {
      field: 'name',
      reason: 'QUOTA_STACKS',
    },
  );
}

/** Refuses a change of a generator that is being deleted. */
export function requireLive(generator: GeneratorRow): void {
  if (generator.deletedAt === null) return;
  throw new Refusal('failed_precondition', `generator "${generator.name}" is being deleted`, {
    field: 'generator',
    reason: 'DELETED',
  });
}

/** Refuses to delete the system generator, which owns what admins deploy, and a generator with stacks unless `cascade` is set. */
export function requireDeletable(generator: GeneratorRow, cascade: boolean): void {
  requireLive(generator);
  if (generator.system) {
    throw new Refusal('failed_precondition', 'the system generator cannot be deleted', {
      field: 'generator',
      reason: 'SYSTEM_GENERATOR',
    });
  }
  if (generator.stackCount > 0 && !cascade) {
    throw new Refusal(
      'failed_precondition',
      `generator "${generator.name}" has ${generator.stackCount} stacks: delete them, or set cascade`,
      {
        field: 'cascade',
        reason: 'HAS_STACKS',
      },
    );
  }
}

/** Returns the state of a registration that an agent requests: registered at once, or waiting for an admin. */
export function initialState(generator: GeneratorRow): RegistrationState {
  return generator.registration === 'approve' ? 'requested' : 'registered';
}
