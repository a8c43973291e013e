import type { GeneratorLimits } from '../../client/generator-limits.ts';

/** What the agent is told about one stack. */
export interface Entry {
  readonly stackId: string;
  /** "generator/name" or the name alone: for people. */
  readonly stack: string;
  readonly generator: string;
  /** Empty for a removal of a stack that has none. */
  readonly deploymentId: string;
  readonly revision: number;
  /** An entry with a lower one than was seen for the stack is ignored. */
  readonly order: bigint;
  readonly state: 'active' | 'removing';
  readonly generation: bigint;
  /** SHA-256 of the manifest, in hex; empty for none. */
  readonly checksum: string;
  readonly size: number;
  readonly onDelete: 'prune' | 'orphan';
  /** The removal waits for a confirmation: nothing is done. */
  readonly held: boolean;
  /** Deletions that the agent held at this order may go on: those of `confirmedKeys`. */
  readonly confirmed: boolean;
  readonly confirmedKeys: readonly string[];
  /** "apiVersion/Kind" of what the last deployment held. */
  readonly kinds: readonly string[];
  readonly reason: string;
  /** "namespace/name" of the ServiceAccount to act as; empty for the agent's own rights. */
  readonly serviceAccount: string;
  /** What to do when somebody else changed or deleted an object. */
  readonly drift: 'repair' | 'report' | 'ignore';
  /** Fields that somebody else may set. */
  readonly ignoredFields: readonly IgnoredFields[];
  /** What to do with an object that exists and is nobody's, or whose fields somebody else has set. */
  readonly conflict: 'adopt' | 'refuse';
  /** Stacks that must be healthy here first. */
  readonly dependsOnIds: readonly string[];
  /** W3C traceparent of the deployment's submission; empty for none. */
  readonly traceParent: string;
  /** What its generator may deploy, once the whole state is here; undefined for anything. */
  readonly limits?: GeneratorLimits | undefined;
}

export interface IgnoredFields {
  /** "ConfigMap" of the core group, "apps/Deployment"; empty for every kind. */
  readonly kind: string;
  /** Of one object; empty for all. */
  readonly name: string;
  /** Such as ".spec.replicas"; everything below is meant too. */
  readonly paths: readonly string[];
}

export interface TargetGenerator {
  readonly generator: string;
  readonly limits: GeneratorLimits;
}

/** Everything that the agent is told; acted on only when it is whole and its digest is right. */
export interface TargetState {
  readonly epoch: bigint;
  readonly paused: boolean;
  /** In order of stack id; none while paused. */
  readonly entries: readonly Entry[];
  /** Those of the entries that have rules, in order of their name. */
  readonly generators: readonly TargetGenerator[];
}

/** The entries, each with what its generator may deploy. */
export function limitedEntries({ entries, generators }: TargetState): Entry[] {
  const limits = new Map(generators.map((one) => [one.generator, one.limits]));
  return entries.map((entry) => ({ ...entry, limits: limits.get(entry.generator) }));
}

/** Whether two entries ask for the same, so that a pass for one need not be done again for the other. */
export function hasSameSpec(left: Entry, right: Entry): boolean {
  return signatureOf(left) === signatureOf(right);
}

/** Whether two entries are about the same deployment of the same placement, whatever the settings. */
export function isSameDeployment(
  left: Pick<Entry, 'deploymentId' | 'generation'>,
  right: Pick<Entry, 'deploymentId' | 'generation'>,
): boolean {
  return left.deploymentId === right.deploymentId && left.generation === right.generation;
}

function signatureOf(entry: Entry): string {
  const { deploymentId, order, state, generation, checksum, onDelete, held, kinds } = entry;
  const fields = [
    deploymentId,
    order,
    state,
    generation,
    checksum,
    onDelete,
    held,
    confirmedText(entry),
    kinds.join(','),
  ];
  // Neither rules nor settings hinder a removal.
  const rules = state === 'active' && entry.limits ? limitsText(entry.limits) : '';
  const settings = state === 'active' ? settingsText(entry) : [];
  return [...fields, entry.serviceAccount, rules, ...settings].join('|');
}

/** Numbers of DriftPolicy and ConflictPolicy in the contract. */
const driftNumbers = { repair: 1, report: 2, ignore: 3 } as const;
const conflictNumbers = { adopt: 1, refuse: 2 } as const;

/** As the digest has it. */
export function confirmedText({ confirmed, confirmedKeys }: Pick<Entry, 'confirmed' | 'confirmedKeys'>): string {
  return confirmed ? ['1', ...confirmedKeys].join(',') : '0';
}

/** As the digest has them. */
export function settingsText({ drift, conflict, dependsOnIds, ignoredFields }: Entry): (string | number)[] {
  const ignored = ignoredFields.map(({ kind, name, paths }) => `${kind}/${name}:${paths.join(',')}`);
  return [driftNumbers[drift], conflictNumbers[conflict], dependsOnIds.join(','), ignored.join(';')];
}

/** As the digest has it. */
export function limitsText(limits: GeneratorLimits): string {
  const lists = [limits.allowNamespaces, limits.denyNamespaces, limits.allowKinds, limits.denyKinds];
  return [...lists.map((list) => list.join(',')), limits.clusterScoped ? 1 : 0].join('|');
}
