import type { Logger } from 'pino';
import { InventoryConflict } from '../inventory/inventory.ts';
import { ClusterError, errorMessage } from '../kube/api-error.ts';
import { ManifestError } from '../manifest/parse.ts';
import { type Pass, type PassResult, Superseded, type SyncContext } from '../sync/context.ts';
import { removeStack } from '../sync/remove-stack.ts';
import { syncStack } from '../sync/sync-stack.ts';
import { eventOf } from '../target/stack-event.ts';

/** How often a pass begins anew at once because somebody else wrote its inventory. */
const maxConflicts = 4;

/**
 * One pass over a stack; whatever keeps it from working becomes what is reported. Given up, and undefined, when the entry is no
 * longer current. Never rejects.
 */
export async function runPass(
  context: SyncContext,
  what: Omit<Pass, 'checkpoint'>,
  isCurrent: () => boolean,
  log: Logger,
): Promise<PassResult | undefined> {
  const { entry, signal } = what;
  const checkpoint = () => {
    if (!isCurrent()) throw new Superseded('the pass was given up');
  };
  for (let conflicts = 0; ; conflicts++) {
    const pass: Pass = { ...what, isFirst: what.isFirst && conflicts === 0, checkpoint };
    try {
      return await (entry.state === 'active' ? syncStack(context, pass) : removeStack(context, pass));
    } catch (error) {
      if (signal.aborted || error instanceof Superseded) return undefined;
      if (error instanceof InventoryConflict && conflicts < maxConflicts) continue;
      if (!(error instanceof ClusterError || error instanceof ManifestError || error instanceof InventoryConflict))
        log.error({ err: error, stackId: entry.stackId }, 'a pass failed in an unexpected way');
      const outcome = entry.state === 'active' ? 'failed' : 'removal_failed';
      return { kind: 'unsettled', event: eventOf(entry, outcome, errorMessage(error)), waiting: false };
    }
  }
}
