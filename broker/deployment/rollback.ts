import { ownerOf, type Principal } from '../access/principal.ts';
import { Refusal } from '../refusal.ts';
import { findStack } from '../stack/store.ts';
import type { Transaction } from '../store/database.ts';
import { requireAllowed } from './limits.ts';
import { addRevision, authorOf, lockStack } from './revision.ts';
import { readRevisionState } from './revision-store.ts';
import { type DeploymentRow, identitiesOf } from './rules.ts';
import * as store from './store.ts';

export interface Rollback {
  readonly stack: string;
  /** 0 means the revision before the current one. */
  readonly revision: number;
  readonly message: string;
  readonly traceParent: string;
}

/**
 * Adds a revision with the content of an earlier one; if the current one has that content already, adds none. FAILED_PRECONDITION when
 * there is no earlier revision. The generator's limits apply as to a submission.
 */
export async function rollBack(
  tx: Transaction,
  principal: Principal,
  request: Rollback,
): Promise<{ readonly deployment: DeploymentRow; readonly isUnchanged: boolean }> {
  const stack = await findStack(tx, ownerOf(principal), request.stack);
  await lockStack(tx, principal, stack.id, request.stack);
  const source =
    request.revision === 0
      ? await store.previousDeployment(tx, stack.id)
      : await store.findDeployment(tx, null, { stackId: stack.id, revision: request.revision });
  if (!source)
    throw new Refusal('failed_precondition', 'there is no earlier revision to roll back to', {
      field: 'revision',
      reason: 'NO_EARLIER_REVISION',
    });
  const { checksum, size, objectCount, kinds, namespace } = await store.contentOf(tx, source.id);
  const state = await readRevisionState(tx, stack.id, checksum, 0);
  const { current } = state;
  if (current?.checksum.equals(checksum) && current.namespace === namespace)
    return { deployment: current, isUnchanged: true };
  requireAllowed(state.generator, await identitiesOf(await store.manifestData(tx, checksum)));
  const content = {
    stackId: stack.id,
    checksum,
    size,
    objectCount,
    kinds,
    namespace,
    message: request.message || `roll back to revision ${source.revision}`,
    createdBy: authorOf(principal),
    rollbackOf: source.revision,
    traceParent: request.traceParent,
  };
  return { deployment: await addRevision(tx, state, content, undefined), isUnchanged: false };
}
