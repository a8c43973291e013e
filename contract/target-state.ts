import type { conflictPolicies, driftPolicies, onDeletes, placementStates } from './enum-names.ts';
import type { GeneratorLimits } from './generator-limits.ts';

/** One stack of an agent's target state, as the broker reads it and as the agent receives it. */
export interface TargetEntry {
  readonly stackId: string;
  /** Name of the stack, alone or as "generator/name": for people. */
  readonly stack: string;
  readonly generator: string;
  /** Empty for a removal of a stack without a deployment. */
  readonly deploymentId: string;
  readonly revision: number;
  /** Grows with every change of the placement; the agent ignores an entry with a lower order than it has seen. */
  readonly order: bigint;
  readonly state: keyof typeof placementStates;
  readonly generation: bigint;
  /** SHA-256 of the manifest, in hex; empty for a removal. */
  readonly checksum: string;
  /** Bytes of the manifest; 0 for a removal. */
  readonly size: number;
  readonly onDelete: keyof typeof onDeletes;
  /** The removal waits for a confirmation; until then the agent does nothing. */
  readonly held: boolean;
  /** Deletions that the agent held at this order may go on: those of `confirmedKeys`. */
  readonly confirmed: boolean;
  /** Keys of the objects whose deletion is confirmed, sorted, as the agent reported them. */
  readonly confirmedKeys: readonly string[];
  /** "apiVersion/Kind" of each kind in the last deployment. */
  readonly kinds: readonly string[];
  /** The reason for a removal; empty otherwise. */
  readonly reason: string;
  /** "namespace/name" of the ServiceAccount to impersonate; empty for the agent's own rights. */
  readonly serviceAccount: string;
  /** The agent's reaction to an object that something else changed or deleted. */
  readonly drift: keyof typeof driftPolicies;
  /** The agent's reaction to an object that exists already, or whose fields another manager has set. */
  readonly conflict: keyof typeof conflictPolicies;
  /** Fields that others may set. */
  readonly ignoredFields: readonly IgnoredFields[];
  /** An object is deleted and created again when a field of it may not be changed. A change raises the order, so the digest omits it. */
  readonly forceReplace: boolean;
  /** Ids of the stacks that must be healthy in the cluster first, ascending; empty for a removal. */
  readonly dependsOnIds: readonly string[];
  /** W3C traceparent of the deployment's submission; empty for none. It belongs to the deployment, so the digest omits it. */
  readonly traceParent: string;
}

export interface IgnoredFields {
  /** "ConfigMap" of the core group, "apps/Deployment" of another; empty for every kind. */
  readonly kind: string;
  /** Name of one object; empty for all. */
  readonly name: string;
  /** Paths such as ".spec.replicas"; each covers everything below it. */
  readonly paths: readonly string[];
}

/** A generator of the target state, with the limits of what the agent may apply for it. */
export interface TargetGenerator {
  readonly generator: string;
  readonly limits: GeneratorLimits;
}

/** Everything that an agent is to do. */
export interface TargetState {
  readonly epoch: bigint;
  readonly paused: boolean;
  /** In order of stack id; empty while the agent is paused. */
  readonly entries: readonly TargetEntry[];
  /** The generators of the entries that have rules, in order of their name. */
  readonly generators: readonly TargetGenerator[];
}
