import type { GeneratorLimits } from '../../contract/generator-limits.ts';
import { confirmedText, limitsText, settingsText } from '../../contract/target-digest.ts';
import type { TargetEntry, TargetState } from '../../contract/target-state.ts';

/** One stack of the target state. */
export interface Entry extends TargetEntry {
  /** Limits on what its generator may deploy, set once the whole state is received; undefined for none. */
  readonly limits?: GeneratorLimits | undefined;
}

/** Returns the entries, each with the limits of its generator. */
export function limitedEntries({ entries, generators }: TargetState): Entry[] {
  const limits = new Map(generators.map(({ generator, limits: allowed }) => [generator, allowed]));
  return entries.map((entry) => ({ ...entry, limits: limits.get(entry.generator) }));
}

/** Returns whether two entries ask for the same, so that a pass for one need not be repeated for the other. */
export function hasSameSpec(left: Entry, right: Entry): boolean {
  return signatureOf(left) === signatureOf(right);
}

/** Returns whether two entries are about the same deployment of the same placement, whatever the settings. */
export function isSameDeployment(
  left: Pick<Entry, 'deploymentId' | 'generation'>,
  right: Pick<Entry, 'deploymentId' | 'generation'>,
): boolean {
  return left.deploymentId === right.deploymentId && left.generation === right.generation;
}

function signatureOf(entry: Entry): string {
  const { deploymentId, order, state, generation, checksum, onDelete, held, kinds } = entry;
  const fields = [
    deploymentId,
    order,
    state,
    generation,
    checksum,
    onDelete,
    held,
    confirmedText(entry),
    kinds.join(','),
  ];
  // A removal depends on neither rules nor settings.
  const rules = state === 'active' && entry.limits ? limitsText(entry.limits) : '';
  const settings = state === 'active' ? settingsText(entry) : '';
  return [...fields, entry.serviceAccount, rules, settings].join('|');
}
