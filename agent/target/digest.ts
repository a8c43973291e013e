import { createHash } from 'node:crypto';
import { confirmedText, limitsText, settingsText, type TargetState } from './target-state.ts';

/** Numbers of PlacementState and OnDelete in the contract. */
const stateNumbers = { active: 1, removing: 2 } as const;
const onDeleteNumbers = { prune: 1, orphan: 2 } as const;

/**
 * SHA-256 over epoch, paused flag, every entry in order of stack id, and the generators' rules. The broker announces its own: while
 * the two differ, something of the answer is missing or was changed, and nothing of it is acted on.
 */
export function digestOf({ epoch, paused, entries, generators }: TargetState): Buffer {
  const hash = createHash('sha256');
  hash.update(`epoch=${epoch};paused=${paused ? 1 : 0}\n`);
  const sorted = [...entries].sort((left, right) =>
    left.stackId < right.stackId ? -1 : left.stackId > right.stackId ? 1 : 0,
  );
  for (const entry of sorted) {
    const fields = [
      entry.stackId,
      entry.stack,
      entry.generator,
      entry.deploymentId,
      entry.revision,
      entry.order,
      stateNumbers[entry.state],
      entry.generation,
      entry.checksum,
      entry.size,
      onDeleteNumbers[entry.onDelete],
      entry.held ? 1 : 0,
      confirmedText(entry),
      entry.kinds.join(','),
      entry.reason,
      entry.serviceAccount,
      ...settingsText(entry),
    ];
    hash.update(`${fields.join('|')}\n`);
  }
  for (const { generator, limits } of generators) hash.update(`${generator}|${limitsText(limits)}\n`);
  return hash.digest();
}
