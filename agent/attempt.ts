import type { Logger } from 'pino';
import { ClusterError, describe } from './cluster-error.ts';
import { eventOf } from './event.ts';
import { InventoryConflict } from './inventory.ts';
import { ManifestError } from './manifest.ts';
import { type Pass, type PassResult, Superseded, type Workshop } from './pass.ts';
import { serveStack } from './serve.ts';
import { withdrawStack } from './withdraw.ts';

/** How often a pass begins anew at once because somebody else wrote its inventory. */
const maxConflicts = 4;

/**
 * One pass over a stack; whatever keeps it from working becomes what is reported. Given up, and undefined, when the entry is no
 * longer current. Never rejects.
 */
export async function tryPass(
  shop: Workshop,
  what: Omit<Pass, 'checkpoint'>,
  isCurrent: () => boolean,
  log: Logger,
): Promise<PassResult | undefined> {
  const { entry, signal } = what;
  const checkpoint = () => {
    if (!isCurrent()) throw new Superseded('the pass was given up');
  };
  for (let conflicts = 0; ; conflicts++) {
    const pass: Pass = { ...what, first: what.first && conflicts === 0, checkpoint };
    try {
      return await (entry.state === 'active' ? serveStack(shop, pass) : withdrawStack(shop, pass));
    } catch (error) {
      if (signal.aborted || error instanceof Superseded) return undefined;
      if (error instanceof InventoryConflict && conflicts < maxConflicts) continue;
      if (!(error instanceof ClusterError || error instanceof ManifestError || error instanceof InventoryConflict))
        log.error({ err: error, stackId: entry.stackId }, 'a pass failed in an unexpected way');
      const outcome = entry.state === 'active' ? 'failed' : 'removal_failed';
      return { kind: 'unsettled', event: eventOf(entry, outcome, describe(error)), waiting: false };
    }
  }
}
