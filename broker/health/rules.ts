import { halfOfBigint } from '../numbers.ts';
import type { ObjectName } from '../object-name.ts';

/** In the database's order: of several, the last one counts. */
export const healths = ['healthy', 'progressing', 'degraded', 'failed', 'unknown'] as const;
export type HealthName = (typeof healths)[number];

/** How one object does, as it is stored and shown again. */
export interface StoredObject {
  readonly object: ObjectName;
  readonly health: HealthName | '';
  readonly message: string;
}

/** What an agent says about one stack. */
export interface Reported {
  readonly stackId: string;
  readonly deploymentId: string;
  readonly generation: bigint;
  readonly health: HealthName;
  readonly message: string;
  readonly objects: readonly StoredObject[];
  readonly objectCount: number;
}

export type HealthCounts = Partial<Record<HealthName, number>>;

/** The worst that at least one has; undefined when nobody has said anything. */
export function worstOf(counts: HealthCounts): HealthName | undefined {
  return healths.findLast((health) => (counts[health] ?? 0) > 0);
}

/** The last word about each stack; what cannot be about anything that a broker has given out is left out. */
export function lastWords(reports: readonly Reported[]): Reported[] {
  const last = new Map(reports.map((report) => [report.stackId, report]));
  return [...last.values()].filter(({ generation }) => generation <= halfOfBigint);
}
