import type { ObjectId } from '../object/kube-object.ts';

/** How objects do, by the conventions of kstatus; each one is worse than those before it. */
export const healths = ['healthy', 'progressing', 'degraded', 'failed', 'unknown'] as const;
export type Health = (typeof healths)[number];

export interface Verdict {
  readonly health: Health;
  /** Why, in words; empty when it is healthy. */
  readonly message: string;
}

export interface ObjectHealth extends Verdict {
  readonly object: ObjectId;
}

/** How the objects of one deployment do. */
export interface StackHealth extends Verdict {
  readonly stackId: string;
  readonly deploymentId: string;
  /** Of the placement. */
  readonly generation: bigint;
  /** Those that are not healthy, the worst first. */
  readonly objects: readonly ObjectHealth[];
  /** How many were looked at. */
  readonly objectCount: number;
}

/** The worst of several; healthy for none. */
export function worstOf(verdicts: Iterable<Verdict>): Health {
  let worst = 0;
  for (const { health } of verdicts) worst = Math.max(worst, healths.indexOf(health));
  return healths[worst]!;
}
