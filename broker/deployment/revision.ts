import { ownerOf, type Principal } from '../access/principal.ts';
import { type GeneratorRow, quotaOf } from '../generator/rules.ts';
import { keptBytes, lockGeneratorRow } from '../generator/store.ts';
import { lockStacks } from '../placement/lock-store.ts';
import { requireNotDeleted, type StackRow } from '../stack/rules.ts';
import { findStack } from '../stack/store.ts';
import { announce } from '../store/feed.ts';
import type { Tx } from '../store/orm.ts';
import { requireWithinQuota } from './limits.ts';
import type { DeploymentRow } from './rules.ts';
import * as store from './store.ts';

/** Locks a stack, so that its submissions follow one another, and reads it. Placements do not change, so this is the only lock. */
export async function lockStack(tx: Tx, principal: Principal, ref: string): Promise<StackRow> {
  const found = await findStack(tx, ownerOf(principal), ref);
  await lockStacks(tx, [found.id]);
  const row = await findStack(tx, ownerOf(principal), found.id);
  requireNotDeleted(row, ref);
  return row;
}

/**
 * Adds a revision, makes it current and forgets the stack's oldest deployments. RESOURCE_EXHAUSTED when the generator would keep more
 * than its quota allows. The stack's lock must be held.
 */
export async function addRevision(
  tx: Tx,
  generator: GeneratorRow,
  deployment: store.NewDeployment,
): Promise<DeploymentRow> {
  const row = await store.makeCurrent(tx, deployment);
  // Two submissions must not each count without the other: after a wait for the lock, a new statement sees both.
  if (!generator.system) await lockGeneratorRow(tx, generator.id);
  await store.trimDeployments(tx, deployment.stackId, quotaOf(generator).deploymentsPerStack);
  requireWithinQuota(generator, await keptBytes(tx, generator.id));
  await announce(tx, 'stack', [deployment.stackId]);
  return row;
}

/** Returns the author's name for people. It is kept as text, because keys and generators come and go. */
export function authorOf(principal: Principal): string {
  return `${principal.ownerName} (${principal.shortToken})`;
}
