import { Refusal } from '../refusal.ts';
import { isId } from '../resource.ts';

export interface StackRow {
  readonly id: string;
  readonly generator_id: string;
  readonly generator: string;
  readonly name: string;
  readonly on_delete: 'prune' | 'orphan';
  readonly has_selector: boolean;
  readonly match_all: boolean;
  readonly current_deployment: string | null;
  readonly revision: number | null;
  readonly version: string;
  readonly created_at: Date;
  readonly updated_at: Date;
  readonly deleted_at: Date | null;
  readonly labels: string[];
  readonly annotations: Record<string, string>;
  readonly terms: Term[];
  readonly targets: string[];
  readonly drift: Drift;
  readonly conflict: Conflict;
  readonly ignored_fields: IgnoredFields[];
  /** Names of stacks of the same generator. */
  readonly depends_on: string[];
}

/** What an agent does when somebody else changed or deleted an object. */
export type Drift = 'repair' | 'report' | 'ignore';
/** What an agent does with an object that is not the stack's. */
export type Conflict = 'adopt' | 'refuse';

/** Fields that somebody else may change. Empty kind or name: of every one. */
export interface IgnoredFields {
  readonly kind: string;
  readonly name: string;
  readonly paths: readonly string[];
}

export type Operator = 'in' | 'not_in' | 'exists' | 'does_not_exist';

export interface Term {
  readonly key: string;
  readonly op: Operator;
  readonly vals: readonly string[];
}

/** A selector as it is stored; undefined in place of it means the stack has none. */
export interface Selector {
  readonly matchAll: boolean;
  readonly terms: readonly Term[];
}

const maxTerms = 32;

/** Refuses a change of a stack that is being deleted; `ref` is how the caller named it. */
export function requireLiveStack(row: StackRow, ref: string): void {
  if (row.deleted_at === null) return;
  throw new Refusal('failed_precondition', `stack "${ref}" is being deleted`, { field: 'stack', reason: 'DELETED' });
}

/** Splits "generator/name", "name" or an id. */
export function parseStackRef(ref: string): { id: string } | { generator: string | null; name: string } {
  if (isId(ref)) return { id: ref };
  const slash = ref.indexOf('/');
  return slash < 0 ? { generator: null, name: ref } : { generator: ref.slice(0, slash), name: ref.slice(slash + 1) };
}

/**
 * Checks a selector by the rules of Kubernetes' LabelSelector: In and NotIn need values, Exists and DoesNotExist take none; without
 * terms it must say match_all, so that an empty selector never means "everywhere" by accident.
 */
export function checkSelector(terms: readonly Term[], matchAll: boolean): Selector {
  const bad = (message: string) => new Refusal('invalid_argument', `selector: ${message}`, { field: 'selector' });
  if (terms.length > maxTerms) throw bad(`has ${terms.length} terms; at most ${maxTerms} are allowed`);
  if (terms.length === 0 && !matchAll) throw bad('is empty; set match_all to select every registered agent');
  if (terms.length > 0 && matchAll) throw bad('has both terms and match_all');
  for (const term of terms) {
    if (term.key === '') throw bad('has a term without a key');
    const needsValues = term.op === 'in' || term.op === 'not_in';
    if (needsValues && term.vals.length === 0) throw bad(`${term.key} ${term.op} needs values`);
    if (!needsValues && term.vals.length > 0) throw bad(`${term.key} ${term.op} takes no values`);
  }
  return { matchAll, terms };
}

const ignoredBytes = 16 << 10;

/** Every agent that serves the stack keeps these in memory and gets them with its target state, so they are bounded together. */
export function checkIgnoredFields(ignored: readonly IgnoredFields[]): IgnoredFields[] {
  const bad = (message: string) =>
    new Refusal('invalid_argument', `ignored_fields: ${message}`, { field: 'ignored_fields' });
  const bytes = ignored.reduce(
    (sum, { kind, name, paths }) => sum + kind.length + name.length + paths.join().length,
    0,
  );
  if (bytes > ignoredBytes) throw bad(`has ${bytes} characters; at most ${ignoredBytes} are allowed`);
  const strange = ignored.find(({ name }) => !/^[^\s/|;,]*$/u.test(name));
  if (strange) throw bad(`"${strange.name}" is no name of an object`);
  return ignored.map(({ kind, name, paths }) => ({ kind, name, paths: [...paths] }));
}

/** That a stack needs another one. */
export interface Dependency {
  readonly stack_id: string;
  readonly depends_on_id: string;
}

/**
 * The stacks, from the first back to itself, that wait for each other; undefined when nothing leads back to it. `dependencies` are
 * those that can be reached from it.
 */
export function findCycle(stackId: string, dependencies: readonly Dependency[]): string[] | undefined {
  const needs = Map.groupBy(dependencies, (dependency) => dependency.stack_id);
  const cameFrom = new Map<string, string>();
  const open = [stackId];
  for (let id = open.shift(); id !== undefined; id = open.shift()) {
    for (const { depends_on_id: next } of needs.get(id) ?? []) {
      if (next === stackId) return [...pathTo(id, cameFrom), stackId];
      if (cameFrom.has(next)) continue;
      cameFrom.set(next, id);
      open.push(next);
    }
  }
  return undefined;
}

function pathTo(id: string, cameFrom: ReadonlyMap<string, string>): string[] {
  const path = [id];
  for (let from = cameFrom.get(id); from !== undefined; from = cameFrom.get(from)) path.unshift(from);
  return path;
}
