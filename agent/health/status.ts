import type { ObjectId } from '../object/kube-object.ts';

/** Health by the conventions of kstatus; each value is worse than those before it. */
export const healths = ['healthy', 'progressing', 'degraded', 'failed', 'unknown'] as const;
export type Health = (typeof healths)[number];

/** The health of one object, and its reason. */
export interface Verdict {
  readonly health: Health;
  /** Reason for people; empty for a healthy object. */
  readonly message: string;
}

export interface ObjectHealth extends Verdict {
  readonly object: ObjectId;
}

/** Health of the objects of one deployment. */
export interface StackHealth extends Verdict {
  readonly stackId: string;
  readonly deploymentId: string;
  /** Generation of the placement. */
  readonly generation: bigint;
  /** The objects that are not healthy, worst first. */
  readonly objects: readonly ObjectHealth[];
  /** Number of objects that were evaluated. */
  readonly objectCount: number;
}

/** Returns the worst health of several; healthy for none. */
export function worstOf(verdicts: Iterable<Verdict>): Health {
  let worst = 0;
  for (const { health } of verdicts) worst = Math.max(worst, healths.indexOf(health));
  return healths[worst]!;
}
