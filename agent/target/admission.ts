import type { Entry } from './target-state.ts';

/** The entry of a stack that was accepted last. */
export interface Seen {
  readonly epoch: bigint;
  readonly order: bigint;
  readonly deploymentId: string;
}

/**
 * Decides what to do with an entry: `take` it; ignore it as `stale`, because something newer was accepted; or leave the cluster as it is,
 * which is `ahead` of a broker that was restored from an older backup. Orders are compared within an epoch. After a restore, removals
 * need a confirmation.
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
