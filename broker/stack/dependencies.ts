import { Refusal } from '../refusal.ts';
import type { Tx } from '../store/database.ts';
import { dependants, dependenciesOf, liveStacks, stackNames, writeDependencies } from './dependency-store.ts';
import { findCycle, parseStackRef } from './rules.ts';

interface Dependent {
  readonly id: string;
  readonly generatorId: string;
  readonly generator: string;
}

/**
 * Replaces what a stack depends on: live stacks of its own generator. NOT_FOUND for any other, INVALID_ARGUMENT when stacks would
 * wait for each other. The generator's exclusive lock must be held, so that no other change closes a circle at the same time.
 */
export async function setDependencies(tx: Tx, stack: Dependent, refs: readonly string[]): Promise<void> {
  const ids = await resolve(tx, stack, refs);
  const reachable = ids.length > 0 ? await dependenciesOf(tx, ids) : [];
  const direct = ids.map((id) => ({ stack_id: stack.id, depends_on_id: id }));
  // What the stack depended on before is replaced, so it does not count.
  const others = reachable.filter((dependency) => dependency.stack_id !== stack.id);
  const cycle = findCycle(stack.id, [...direct, ...others]);
  if (cycle) {
    const names = await stackNames(tx, cycle);
    const words = cycle.map((id) => names.get(id)).join(' -> ');
    throw new Refusal('invalid_argument', `depends_on: these stacks would wait for each other: ${words}`, {
      field: 'depends_on',
      reason: 'DEPENDENCY_CYCLE',
    });
  }
  await writeDependencies(tx, stack.id, ids);
}

async function resolve(tx: Tx, { generatorId, generator }: Dependent, refs: readonly string[]): Promise<string[]> {
  if (refs.length === 0) return [];
  const parsed = refs.map((ref) => ({ ref, ...parseStackRef(ref) }));
  const names = parsed.flatMap((one) => ('id' in one ? [] : [one.name]));
  const ids = parsed.flatMap((one) => ('id' in one ? [one.id] : []));
  const found = await liveStacks(tx, generatorId, names, ids);
  const resolved = parsed.map((one) => {
    const isIt = ({ id, name }: { id: string; name: string }) =>
      'id' in one ? id === one.id : name === one.name && (one.generator ?? generator) === generator;
    const stack = found.find(isIt);
    if (!stack)
      throw new Refusal('not_found', `stack "${one.ref}" not found among those of generator "${generator}"`, {
        field: 'depends_on',
      });
    return stack.id;
  });
  return [...new Set(resolved)];
}

const namedDependants = 10;

/** Refuses to delete a stack that live ones depend on: they would wait for ever. */
export async function requireNoDependants(tx: Tx, stackId: string, name: string): Promise<void> {
  const names = await dependants(tx, stackId, namedDependants + 1);
  if (names.length === 0) return;
  const more = names.length > namedDependants ? ', …' : '';
  throw new Refusal(
    'failed_precondition',
    `stack "${name}" is needed by ${names.slice(0, namedDependants).join(', ')}${more}: change their depends_on first`,
    { field: 'stack', reason: 'HAS_DEPENDANTS' },
  );
}
