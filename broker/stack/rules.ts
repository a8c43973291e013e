import { type Note, toColumns } from '../audit/rules.ts';
import { Refusal } from '../refusal.ts';
import { isId } from '../resource.ts';

export interface StackRow {
  readonly id: string;
  readonly generatorId: string;
  readonly generator: string;
  readonly name: string;
  readonly onDelete: 'prune' | 'orphan';
  readonly hasSelector: boolean;
  readonly matchAll: boolean;
  readonly currentDeployment: string | null;
  readonly revision: number | null;
  readonly version: string;
  readonly createdAt: Date;
  readonly updatedAt: Date;
  readonly deletedAt: Date | null;
  readonly labels: string[];
  readonly annotations: Record<string, string>;
  readonly terms: readonly Term[];
  readonly targets: string[];
  readonly drift: Drift;
  readonly conflict: Conflict;
  readonly ignoredFields: IgnoredFields[];
  readonly forceReplace: boolean;
  /** Names of stacks of the same generator. */
  readonly dependsOn: string[];
}

/** The agent's reaction to an object that somebody else changed or deleted. */
export type Drift = 'repair' | 'report' | 'ignore';
/** The agent's treatment of an existing object that is not the stack's. */
export type Conflict = 'adopt' | 'refuse';

/** Fields that somebody else may change. An empty kind or name matches every object. */
export interface IgnoredFields {
  readonly kind: string;
  readonly name: string;
  readonly paths: readonly string[];
}

/** The settings of a stack that an update may change one by one. */
export interface Settings {
  readonly onDelete: 'prune' | 'orphan';
  readonly drift: Drift;
  readonly conflict: Conflict;
  readonly ignoredFields: readonly IgnoredFields[];
  /** Agents delete and create an object again when a field of it may not be changed. */
  readonly forceReplace: boolean;
}

export type Operator = 'in' | 'not_in' | 'exists' | 'does_not_exist';

export interface Term {
  readonly key: string;
  readonly operator: Operator;
  readonly values: readonly string[];
}

/** A selector as it is stored. */
export interface Selector {
  readonly matchAll: boolean;
  readonly terms: readonly Term[];
}

const maxTerms = 32;

/** Returns a stack's name as people and the audit log use it: "generator/name". */
export function fullName(row: StackRow): string {
  return `${row.generator}/${row.name}`;
}

/** Notes for the audit log how a stack was before a change, and how it is after it. */
export function recordStack(note: Note, { before, after }: { before?: StackRow; after?: StackRow }): void {
  const row = (before ?? after) as StackRow;
  note.about('stack', row.id, fullName(row));
  if (before) note.before(toRecord(before));
  if (after) note.after(toRecord(after));
}

/** Names the parts of the selector's terms as their columns, too. */
function toRecord(row: StackRow): object {
  return toColumns({
    ...row,
    terms: row.terms.map(({ key, operator, values }) => ({ key, op: operator, vals: values })),
  });
}

/** Refuses a change of a stack that is being deleted; `ref` is how the caller named it. */
export function requireNotDeleted(row: Pick<StackRow, 'deletedAt'>, ref: string): void {
  if (row.deletedAt === null) return;
  throw new Refusal('failed_precondition', `stack "${ref}" is being deleted`, { field: 'stack', reason: 'DELETED' });
}

/** Splits "generator/name", "name" or an id. */
export function parseStackRef(ref: string): { id: string } | { generator: string | null; name: string } {
  if (isId(ref)) return { id: ref };
  const slash = ref.indexOf('/');
  return slash < 0 ? { generator: null, name: ref } : { generator: ref.slice(0, slash), name: ref.slice(slash + 1) };
}

/**
 * Checks a selector by the rules of Kubernetes' LabelSelector: In and NotIn need values, Exists and DoesNotExist take none. Without
 * terms it must set match_all, so that an empty selector never means "everywhere" by accident.
 */
export function checkSelector(terms: readonly Term[], matchAll: boolean): Selector {
  const bad = (message: string) => new Refusal('invalid_argument', `selector: ${message}`, { field: 'selector' });
  if (terms.length > maxTerms) throw bad(`has ${terms.length} terms; at most ${maxTerms} are allowed`);
  if (terms.length === 0 && !matchAll) throw bad('is empty; set match_all to select every registered agent');
  if (terms.length > 0 && matchAll) throw bad('has both terms and match_all');
  for (const term of terms) {
    if (term.key === '') throw bad('has a term without a key');
    const needsValues = term.operator === 'in' || term.operator === 'not_in';
    if (needsValues && term.values.length === 0) throw bad(`${term.key} ${term.operator} needs values`);
    if (!needsValues && term.values.length > 0) throw bad(`${term.key} ${term.operator} takes no values`);
  }
  return { matchAll, terms };
}

const ignoredBytes = 16 << 10;

/** Checks ignored fields. Their total size is limited, because every agent of the stack gets them and keeps them in memory. */
export function checkIgnoredFields(ignored: readonly IgnoredFields[]): IgnoredFields[] {
  const bad = (message: string) =>
    new Refusal('invalid_argument', `ignored_fields: ${message}`, { field: 'ignored_fields' });
  const bytes = ignored.reduce(
    (sum, { kind, name, paths }) => sum + kind.length + name.length + paths.join().length,
    0,
  );
  if (bytes > ignoredBytes) throw bad(`has ${bytes} characters; at most ${ignoredBytes} are allowed`);
  const invalid = ignored.find(({ name }) => !/^[^\s/|;,]*$/u.test(name));
  if (invalid) throw bad(`"${invalid.name}" is not the name of an object`);
  return ignored.map(({ kind, name, paths }) => ({ kind, name, paths: [...paths] }));
}

/** One stack's dependency on another. */
export interface Dependency {
  readonly stackId: string;
  readonly dependsOnId: string;
}

/**
 * Finds a cycle through a stack: the ids from the stack back to itself; undefined when there is none. `dependencies` must hold all that
 * can be reached from it.
 */
export function findCycle(stackId: string, dependencies: readonly Dependency[]): string[] | undefined {
  const dependenciesOf = Map.groupBy(dependencies, (dependency) => dependency.stackId);
  const predecessors = new Map<string, string>();
  const queue = [stackId];
  for (let id = queue.shift(); id !== undefined; id = queue.shift()) {
    for (const { dependsOnId: next } of dependenciesOf.get(id) ?? []) {
      if (next === stackId) return [...pathTo(id, predecessors), stackId];
      if (predecessors.has(next)) continue;
      predecessors.set(next, id);
      queue.push(next);
    }
  }
  return undefined;
}

function pathTo(id: string, predecessors: ReadonlyMap<string, string>): string[] {
  const path = [id];
  for (let before = predecessors.get(id); before !== undefined; before = predecessors.get(before)) path.unshift(before);
  return path;
}
