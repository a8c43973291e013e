import type { healths as healthNumbers } from '../../contract/enum-names.ts';
import type { ObjectId } from '../../contract/object-key.ts';
import { halfOfBigint } from '../numbers.ts';

export type HealthName = keyof typeof healthNumbers;

/** In the order of the database's enum: each one is worse than those before it. */
export const healths = [
  'healthy',
  'progressing',
  'degraded',
  'failed',
  'unknown',
] as const satisfies readonly HealthName[];

/** The health of one object, in the form in which it is stored and listed. */
export interface StoredObject {
  readonly object: ObjectId;
  /** Empty when the agent did not name it. */
  readonly health: HealthName | '';
  readonly message: string;
}

/** An agent's report about the health of one stack. */
export interface StackHealthReport {
  readonly stackId: string;
  readonly deploymentId: string;
  readonly generation: bigint;
  readonly health: HealthName;
  readonly message: string;
  /** The objects that are not healthy, the worst first; possibly not all of them. */
  readonly objects: readonly StoredObject[];
  /** Number of objects that were checked. */
  readonly objectCount: number;
}

export type HealthCounts = Partial<Record<HealthName, number>>;

/** Returns the worst health that is counted at least once; undefined when none is. */
export function worstOf(counts: HealthCounts): HealthName | undefined {
  return healths.findLast((health) => (counts[health] ?? 0) > 0);
}

/** Returns the last report about each stack, without those whose generation no broker can have given out. */
export function latestReports(reports: readonly StackHealthReport[]): StackHealthReport[] {
  const byStack = new Map(reports.map((report) => [report.stackId, report]));
  return [...byStack.values()].filter(({ generation }) => generation <= halfOfBigint);
}
