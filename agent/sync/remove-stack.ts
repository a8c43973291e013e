import { type RunStages, stages } from './stage.ts';
import { loadInventory } from './stages/prepare.ts';
import {
  holdRemovalDeletions,
  planRemoval,
  pruneForRemoval,
  releaseOrphans,
  reportRemoval,
  restoreForRemoval,
} from './stages/remove.ts';

/**
 * Runs one pass over a stack that is being removed: deletes the objects that its inventory lists, or with `orphan` takes its marks
 * off them, and reports `removed` once nothing is left. The inventory's header stays to reject outdated entries, until the broker
 * no longer lists the stack.
 */
export const removeStack: RunStages = stages()
  .add('load inventory', loadInventory)
  .add('restore inventory', restoreForRemoval)
  .add('release orphans', releaseOrphans)
  // Decides what is pruned, released and handed over.
  .add('plan', planRemoval)
  .add('hold deletions', holdRemovalDeletions)
  .add('prune', pruneForRemoval)
  .end('report', reportRemoval);
