import type { Entry } from './target-state.ts';

/** The last that was seen of a stack. */
export interface Seen {
  readonly epoch: bigint;
  readonly order: bigint;
  readonly deploymentId: string;
}

/**
 * What to do with an entry: `take` it; ignore it as `stale`, since something newer was seen; or keep what there is, being `ahead` of a
 * broker that was restored from an older backup. Orders are compared within an epoch; a new epoch's removals need a confirmation.
 */
export function admitEntry(entry: Entry, epoch: bigint, seen: Seen | undefined): 'take' | 'stale' | 'ahead' {
  if (seen === undefined || entry.order > seen.order) return epoch < (seen?.epoch ?? 0n) ? 'stale' : 'take';
  const isSame = entry.order === seen.order && entry.deploymentId === seen.deploymentId;
  if (epoch === seen.epoch) return isSame ? 'take' : 'stale';
  if (epoch < seen.epoch) return 'stale';
  if (isSame) return 'take';
  if (entry.state === 'removing') return entry.held || entry.confirmed ? 'take' : 'stale';
  return 'ahead';
}
