import { displayName, type ObjectId } from '../object/kube-object.ts';
import type { Entry } from './target-state.ts';

/** The outcome of a pass over a stack, named as in the contract. */
export type Outcome =
  | 'applied'
  | 'failed'
  | 'removed'
  | 'removal_failed'
  | 'held'
  | 'ahead'
  | 'drifted'
  | 'repaired'
  | 'waiting';

export interface Change {
  readonly object: ObjectId;
  readonly action: 'created' | 'configured' | 'deleted' | 'failed' | 'held';
  /** Paths of the fields that differed, such as ".spec.replicas". */
  readonly fields?: readonly string[];
  /** The reason that it failed or is held; empty otherwise. */
  readonly message: string;
  /** Warnings of the API server about the object. */
  readonly warnings?: readonly string[];
}

export interface StackEvent {
  readonly stackId: string;
  readonly deploymentId: string;
  readonly checksum: string;
  readonly generation: bigint;
  readonly order: bigint;
  readonly outcome: Outcome;
  readonly message: string;
  readonly changes: readonly Change[];
  /** Keys of the objects whose deletion waits for a confirmation. */
  readonly heldKeys: readonly string[];
  readonly at: Date;
}

/** Builds an event about the placement of an entry. */
export function eventOf(
  entry: Entry,
  outcome: Outcome,
  message: string,
  changes: readonly Change[] = [],
  heldKeys: readonly string[] = [],
): StackEvent {
  const { stackId, deploymentId, checksum, generation, order } = entry;
  return { stackId, deploymentId, checksum, generation, order, outcome, message, changes, heldKeys, at: new Date() };
}

/** Returns the same text for two events that say the same: same deployment, outcome and reasons. Numbers in messages are ignored. */
export function eventSignature(event: StackEvent): string {
  const { stackId, deploymentId, checksum, generation, order, outcome, message, changes, heldKeys } = event;
  const reasons = changes.flatMap(({ object, message: reason }) =>
    reason === '' ? [] : [`${displayName(object)}: ${reason}`],
  );
  const text = outcome === 'applied' ? '' : withoutNumbers([message, ...reasons.sort()].join('\n'));
  return [stackId, deploymentId, checksum, generation, order, outcome, text, ...heldKeys].join('|');
}

/** Returns the same text for two events about the same drift. */
export function driftSignature({ stackId, deploymentId, changes }: StackEvent): string {
  const finds = changes.map(
    ({ object, fields, message }) => `${displayName(object)}: ${fields?.join(', ')}: ${message}`,
  );
  return [stackId, deploymentId, ...finds.sort()].join('|');
}

/** Hides resource versions, ports and times, which differ in the API server's message with each try. */
function withoutNumbers(text: string): string {
  return text.replace(/[0-9]+/g, '0').replace(/no answer from the Kubernetes API: .*/g, 'no answer');
}
