import { ownerOf, type Principal } from '../access/principal.ts';
import { quotaOf } from '../generator/rules.ts';
import { Refusal } from '../refusal.ts';
import { requireNotDeleted } from '../stack/rules.ts';
import type { Sql, Transaction } from '../store/database.ts';
import { requireWithinQuota } from './limits.ts';
import * as store from './revision-store.ts';
import type { DeploymentRow } from './rules.ts';
import type { NewDeployment } from './store.ts';

/**
 * Locks a stack, so that its submissions follow one another. Placements do not change, so this is the first lock. NOT_FOUND when the
 * stack is gone meanwhile, FAILED_PRECONDITION when it is being deleted; `ref` is how the caller named it.
 */
export async function lockStack(tx: Sql, principal: Principal, stackId: string, ref: string): Promise<void> {
  const stack = await store.lockStackRow(tx, ownerOf(principal), stackId);
  if (!stack) throw new Refusal('not_found', `stack "${ref}" not found`, { field: 'stack' });
  requireNotDeleted(stack, ref);
}

/**
 * Adds a revision, makes it current and forgets the stack's oldest deployments. RESOURCE_EXHAUSTED when the generator would keep more
 * than its quota allows. `state` must have been read under the stack's lock; `manifest` holds the bytes of one that is not stored.
 */
export async function addRevision(
  tx: Transaction,
  { generator, stack }: store.RevisionState,
  deployment: NewDeployment,
  manifest: Uint8Array | undefined,
): Promise<DeploymentRow> {
  const countBytes = !generator.system || generator.quotaBytes !== '0';
  const keep = quotaOf(generator).deploymentsPerStack;
  const { keptBytes, ...written } = await store.writeRevision(tx, deployment, { keep, countBytes, manifest });
  requireWithinQuota(generator, BigInt(keptBytes));
  return { ...deployment, ...written, stack, checksum: Buffer.from(deployment.checksum), isCurrent: true };
}

/** Returns the author's name for people. It is kept as text, because keys and generators come and go. */
export function authorOf(principal: Principal): string {
  return `${principal.ownerName} (${principal.shortToken})`;
}
