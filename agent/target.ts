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
  /** Deletions that the agent held at this order may go on. */
  readonly confirmed: boolean;
  /** "apiVersion/Kind" of what the last deployment held. */
  readonly kinds: readonly string[];
  readonly reason: string;
}

/** Everything that the agent is told; acted on only when it is whole and its digest is right. */
export interface TargetState {
  readonly epoch: bigint;
  readonly paused: boolean;
  /** In order of stack id; none while paused. */
  readonly entries: readonly Entry[];
}

/** Whether two entries ask for the same, so that a pass for one need not be done again for the other. */
export function isSameDesire(left: Entry, right: Entry): boolean {
  return signatureOf(left) === signatureOf(right);
}

function signatureOf(entry: Entry): string {
  const { deploymentId, order, state, generation, checksum, onDelete, held, confirmed, kinds } = entry;
  return [deploymentId, order, state, generation, checksum, onDelete, held, confirmed, kinds.join(',')].join('|');
}
