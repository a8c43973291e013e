import { conflictPolicies, driftPolicies, onDeletes, placementStates } from './enum-names.ts';
import type { GeneratorLimits } from './generator-limits.ts';
import type { TargetEntry, TargetState } from './target-state.ts';

/**
 * Feeds a target state into a hash: the epoch, the paused flag, every entry in order of stack id, and the generators' rules. Returns
 * the hash. With SHA-256 this is the digest of the contract: the broker sends its own, and while the agent's differs, part of the
 * answer is missing or was changed, and the agent acts on none of it. The hashed text therefore never changes.
 *
 * The caller passes the hash, such as `createHash('sha256')`, because this folder also runs in browsers.
 */
export function hashTargetState<Hash extends { update(text: string): unknown }>(
  { epoch, paused, entries, generators }: TargetState,
  hash: Hash,
): Hash {
  hash.update(`epoch=${epoch};paused=${flag(paused)}\n`);
  const sorted = [...entries].sort((left, right) =>
    left.stackId < right.stackId ? -1 : left.stackId > right.stackId ? 1 : 0,
  );
  for (const entry of sorted) hash.update(`${entryText(entry)}\n`);
  for (const { generator, limits } of generators) hash.update(`${generator}|${limitsText(limits)}\n`);
  return hash;
}

function entryText(entry: TargetEntry): string {
  return [
    entry.stackId,
    entry.stack,
    entry.generator,
    entry.deploymentId,
    entry.revision,
    entry.order,
    placementStates[entry.state],
    entry.generation,
    entry.checksum,
    entry.size,
    onDeletes[entry.onDelete],
    flag(entry.held),
    confirmedText(entry),
    entry.kinds.join(','),
    entry.reason,
    entry.serviceAccount,
    settingsText(entry),
  ].join('|');
}

/** Returns the confirmed deletions as the digest has them. */
export function confirmedText({ confirmed, confirmedKeys }: Pick<TargetEntry, 'confirmed' | 'confirmedKeys'>): string {
  return confirmed ? ['1', ...confirmedKeys].join(',') : '0';
}

/** Returns the settings of a stack that do not concern a removal, as the digest has them. */
export function settingsText({ drift, conflict, dependsOnIds, ignoredFields }: TargetEntry): string {
  const ignored = ignoredFields.map(({ kind, name, paths }) => `${kind}/${name}:${paths.join(',')}`);
  return [driftPolicies[drift], conflictPolicies[conflict], dependsOnIds.join(','), ignored.join(';')].join('|');
}

/** Returns a generator's rules as the digest has them. */
export function limitsText(limits: GeneratorLimits): string {
  const lists = [limits.allowNamespaces, limits.denyNamespaces, limits.allowKinds, limits.denyKinds];
  return [...lists.map((list) => list.join(',')), flag(limits.clusterScoped)].join('|');
}

function flag(value: boolean): number {
  return value ? 1 : 0;
}
