import type { Logger } from 'pino';
import { InventoryConflict } from '../inventory/inventory.ts';
import { ClusterError, errorMessage } from '../kube/api-error.ts';
import { ManifestError } from '../manifest/parse.ts';
import { type Pass, type PassResult, Superseded, type SyncContext } from '../sync/context.ts';
import { removeStack } from '../sync/remove-stack.ts';
import { syncStack } from '../sync/sync-stack.ts';
import { eventOf } from '../target/stack-event.ts';

/** The number of times that a pass starts over at once because another process wrote its inventory. */
const maxConflicts = 4;

/**
 * Runs one pass over a stack and turns every error into a result. Returns undefined when the pass was given up because its entry is no
 * longer current. Never rejects.
 */
export async function runPass(
  context: SyncContext,
  request: Omit<Pass, 'checkpoint' | 'enterStage'>,
  isCurrent: () => boolean,
  log: Logger,
): Promise<PassResult | undefined> {
  const { entry, signal } = request;
  let stage = '';
  const checkpoint = () => {
    if (!isCurrent()) throw new Superseded('the pass was given up');
  };
  const enterStage = (name: string) => {
    stage = name;
  };
  for (let conflicts = 0; ; conflicts++) {
    const pass: Pass = { ...request, isFirst: request.isFirst && conflicts === 0, checkpoint, enterStage };
    try {
      return await (entry.state === 'active' ? syncStack(context, pass) : removeStack(context, pass));
    } catch (error) {
      if (signal.aborted || error instanceof Superseded) return undefined;
      if (error instanceof InventoryConflict && conflicts < maxConflicts) continue;
      const isExpected =
        error instanceof ClusterError || error instanceof ManifestError || error instanceof InventoryConflict;
      if (!isExpected) log.error({ err: error, stackId: entry.stackId, stage }, 'a pass failed in an unexpected way');
      const outcome = entry.state === 'active' ? 'failed' : 'removal_failed';
      return { kind: 'unsettled', event: eventOf(entry, outcome, errorMessage(error)), waiting: false };
    }
  }
}
