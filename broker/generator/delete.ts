import { revokeGeneratorKeys } from '../access/store.ts';
import { lockGenerators, lockStacks } from '../placement/lock-store.ts';
import { updatePlacements } from '../placement/match-store.ts';
import { checkEtag } from '../resource.ts';
import { announce } from '../store/feed.ts';
import type { Tx } from '../store/orm.ts';
import { type GeneratorRow, requireDeletable } from './rules.ts';
import { findGenerator, generatorById, lockGeneratorRow, markGeneratorDeleted, stackIdsOf } from './store.ts';

/**
 * Deletes a generator: its keys end at once and its stacks become removals on every agent. The rows stay until the last removal is
 * acknowledged, because removals refer to them.
 */
export async function deleteGenerator(
  tx: Tx,
  request: { generator: string; etag: string; cascade: boolean },
): Promise<GeneratorRow> {
  const found = await findGenerator(tx, request.generator);
  await lockGenerators(tx, [found.id], 'exclusive');
  await lockStacks(tx, await stackIdsOf(tx, found.id));
  await lockGeneratorRow(tx, found.id);
  const row = await generatorById(tx, found.id);
  requireDeletable(row, request.cascade);
  checkEtag(request.etag, row.version);
  const stacks = await markGeneratorDeleted(tx, row.id);
  await updatePlacements(tx, { agents: null, stacks }, `generator "${row.name}" was deleted`);
  await announce(tx, 'stack', stacks);
  await announce(tx, 'key', await revokeGeneratorKeys(tx, row.id));
  return generatorById(tx, row.id);
}
