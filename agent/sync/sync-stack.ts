import { type RunStages, stages } from './stage.ts';
import { awaitDependencies, claimObjects, planChanges } from './stages/plan.ts';
import { checkDependencies, completeInventory, loadInventory, readManifest, resolve } from './stages/prepare.ts';
import { holdDeletions, prune, reportSync } from './stages/prune.ts';
import { holdReplacements } from './stages/replace.ts';
import { adoptObjects, applyWaves, classifyChanges, dryRunWrites, gateWaves, recordInventory } from './stages/write.ts';

/**
 * Runs one pass over an active stack, from scratch each time: reads the state of the cluster, plans, applies, prunes, and returns
 * the result. Rejects when the pass cannot work at all: with ClusterError (the cluster is unreachable), ManifestError,
 * InventoryConflict or Superseded.
 */
export const syncStack: RunStages = stages()
  .add('read manifest', readManifest)
  .add('load inventory', loadInventory)
  .add('complete inventory', completeInventory)
  .add('check dependencies', checkDependencies)
  .add('resolve objects', resolve)
  // Decides what is created, configured and pruned.
  .add('plan', planChanges)
  .add('await dependencies', awaitDependencies)
  .add('claim objects', claimObjects)
  .add('classify drift', classifyChanges)
  .add('gate waves', gateWaves)
  .add('adopt objects', adoptObjects)
  .add('dry run', dryRunWrites)
  .add('hold replacements', holdReplacements)
  .add('record inventory', recordInventory)
  .add('apply waves', applyWaves)
  .add('hold deletions', holdDeletions)
  .add('prune', prune)
  .end('report', reportSync);
