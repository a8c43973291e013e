import type { HealthName } from '../health/rules.ts';
import type { Phase } from '../placement/rules.ts';

/** Placements of one deployment whose agents report the same, word for word. */
export interface ProblemRow {
  readonly stackId: string;
  /** "generator/name". */
  readonly stack: string;
  /** Null, like the fields that follow, for a removal of a stack that has no deployment. */
  readonly deploymentId: string | null;
  readonly revision: number | null;
  readonly deploymentMessage: string | null;
  readonly createdBy: string | null;
  readonly createdAt: Date | null;
  readonly phase: Phase;
  /** Null unless the problem is the health. */
  readonly health: HealthName | null;
  readonly message: string;
  readonly placements: number;
  /** Placements of the stack, in any phase. */
  readonly stackPlacements: number;
  /** Names of agents in order, at most `maxAgents`. */
  readonly agents: readonly string[];
  readonly since: Date;
  /** Ranks the problem: higher is worse. */
  readonly severity: number;
}

/** Names of agents that are kept for each problem. */
export const maxAgents = 20;

/** Parts of messages that differ between clusters although the cause is the same, and what stands for them when causes are compared. */
const varyingParts: readonly (readonly [RegExp, string])[] = [
  [/\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b/gi, '<uuid>'],
  // Names that Kubernetes made up end in letters and digits from which it leaves out vowels (apimachinery, util/rand).
  [/-[bcdfghjklmnpqrstvwxz2456789]{6,10}(-[bcdfghjklmnpqrstvwxz2456789]{5})?(?![a-z0-9])/g, '-<hash>'],
  [/-[bcdfghjklmnpqrstvwxz2456789]{5}(?![a-z0-9])/g, '-<hash>'],
  [/\b(?:\d{1,3}\.){3}\d{1,3}\b/g, '<address>'],
  [/\b[0-9a-f]{12,64}\b/g, '<hash>'],
  [/\d+/g, '<number>'],
];

/** Returns the text by which messages are compared: without names that clusters make up, addresses and numbers. */
export function normalizedMessage(message: string): string {
  return varyingParts.reduce((text, [pattern, replacement]) => text.replace(pattern, replacement), message);
}

/** Joins rows of the same stack, deployment, phase and health whose messages mean the same. The worst come first, as in `rows`. */
export function groupByCause(rows: readonly ProblemRow[]): ProblemRow[] {
  const groups = new Map<string, ProblemRow>();
  for (const row of rows) {
    const { stackId, deploymentId, phase, health } = row;
    const key = JSON.stringify([stackId, deploymentId, phase, health, normalizedMessage(row.message)]);
    const group = groups.get(key);
    groups.set(key, group ? joined(group, row) : row);
  }
  return [...groups.values()].sort(
    (a, b) => b.severity - a.severity || b.placements - a.placements || a.stack.localeCompare(b.stack, 'en'),
  );
}

function joined(group: ProblemRow, row: ProblemRow): ProblemRow {
  return {
    // The message that most placements have is the first.
    ...group,
    placements: group.placements + row.placements,
    agents: [...group.agents, ...row.agents].sort().slice(0, maxAgents),
    since: group.since < row.since ? group.since : row.since,
  };
}
