import { Refusal } from '../refusal.ts';
import type { Tx } from '../store/orm.ts';
import { dependantNames, dependenciesOf, findStacks, stackNames, writeDependencies } from './dependency-store.ts';
import { findCycle, parseStackRef } from './rules.ts';

/** The stack whose dependencies change. */
interface Dependent {
  readonly id: string;
  readonly generatorId: string;
  readonly generator: string;
}

/**
 * Replaces what a stack depends on: other stacks of its generator. NOT_FOUND for any other reference, INVALID_ARGUMENT when stacks
 * would wait for each other. The generator's exclusive lock must be held, so that no concurrent change closes a cycle.
 */
export async function setDependencies(tx: Tx, stack: Dependent, refs: readonly string[]): Promise<void> {
  const ids = await resolve(tx, stack, refs);
  const reachable = ids.length > 0 ? await dependenciesOf(tx, ids) : [];
  const direct = ids.map((id) => ({ stackId: stack.id, dependsOnId: id }));
  // The stack's former dependencies are replaced, so they do not count.
  const others = reachable.filter((dependency) => dependency.stackId !== stack.id);
  const cycle = findCycle(stack.id, [...direct, ...others]);
  if (cycle) {
    const names = await stackNames(tx, cycle);
    const path = cycle.map((id) => names.get(id)).join(' -> ');
    throw new Refusal('invalid_argument', `depends_on: these stacks would wait for each other: ${path}`, {
      field: 'depends_on',
      reason: 'DEPENDENCY_CYCLE',
    });
  }
  await writeDependencies(tx, stack.id, ids);
}

async function resolve(tx: Tx, { generatorId, generator }: Dependent, refs: readonly string[]): Promise<string[]> {
  if (refs.length === 0) return [];
  const parsed = refs.map((ref) => ({ ref, ...parseStackRef(ref) }));
  const names = parsed.flatMap((target) => ('id' in target ? [] : [target.name]));
  const ids = parsed.flatMap((target) => ('id' in target ? [target.id] : []));
  const stacks = await findStacks(tx, generatorId, names, ids);
  const resolved = parsed.map((target) => {
    const isTarget = ({ id, name }: { id: string; name: string }) =>
      'id' in target ? id === target.id : name === target.name && (target.generator ?? generator) === generator;
    const stack = stacks.find(isTarget);
    if (!stack)
      throw new Refusal('not_found', `stack "${target.ref}" not found among those of generator "${generator}"`, {
        field: 'depends_on',
      });
    return stack.id;
  });
  return [...new Set(resolved)];
}

const maxNamedDependants = 10;

/** Refuses to delete a stack that others depend on: they would wait for ever. */
export async function requireNoDependants(tx: Tx, stackId: string, name: string): Promise<void> {
  const names = await dependantNames(tx, stackId, maxNamedDependants + 1);
  if (names.length === 0) return;
  const more = names.length > maxNamedDependants ? ', …' : '';
  throw new Refusal(
    'failed_precondition',
    `stack "${name}" is needed by ${names.slice(0, maxNamedDependants).join(', ')}${more}: change their depends_on first`,
    { field: 'stack', reason: 'HAS_DEPENDANTS' },
  );
}
