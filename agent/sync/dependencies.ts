import { healthOf } from '../health/evaluate.ts';
import { worstOf } from '../health/status.ts';
import { readLive } from '../kube/read-objects.ts';
import { andMore, keyOf, nameOf } from '../object/kube-object.ts';
import type { Entry } from '../target/target-state.ts';
import type { Pass, SyncContext } from './context.ts';
import { contextForStack } from './stack-context.ts';

/**
 * Why a stack has to wait for one that it depends on: that one is not served here, not applied as it is desired now, or not healthy.
 * Undefined when it need not, or no longer.
 */
export async function dependencyBlocker(
  context: SyncContext,
  { entry, isAlreadyApplied, signal }: Pass,
): Promise<string | undefined> {
  // What was applied once is kept as it is, whatever becomes of what it depends on.
  if (isAlreadyApplied) return undefined;
  for (const stackId of entry.dependsOnIds) {
    const why = await whyNotReady(context, stackId, signal);
    if (why !== undefined) return `waits for stack ${context.registry.get(stackId).stack}, ${why}`;
  }
  return undefined;
}

async function whyNotReady(context: SyncContext, stackId: string, signal: AbortSignal): Promise<string | undefined> {
  const standing = context.registry.progressOf(stackId);
  switch (standing.kind) {
    case 'absent':
      // The broker leaves out what it has nothing to tell about: here the two are the same.
      return 'which this agent does not serve, or of which nothing was submitted yet';
    case 'removing':
      return 'which is being removed here';
    case 'ahead':
      return 'which is ahead of what the broker knows';
    case 'pending':
      return `which is not applied yet${standing.message === '' ? '' : `: ${standing.message}`}`;
    case 'applied':
      return whyNotHealthy(context, standing.entry, signal);
  }
}

async function whyNotHealthy(context: SyncContext, entry: Entry, signal: AbortSignal): Promise<string | undefined> {
  const { stackId } = entry;
  const { items } = await context.inventories.load(stackId, signal);
  const ids = [...items.values()].map(({ id }) => id);
  const { cluster } = contextForStack(entry, context);
  const live = await readLive(cluster, ids, { stackId, known: new Set(items.keys()) }, signal);
  const verdicts = ids.flatMap((id) => {
    const found = live.get(keyOf(id));
    const verdict = found ? healthOf(found) : ({ health: 'failed', message: 'it is gone' } as const);
    return verdict.health === 'healthy' ? [] : [{ ...verdict, id }];
  });
  const worst = verdicts.find(({ health }) => health === worstOf(verdicts));
  if (!worst) return undefined;
  return `which is ${worst.health}: ${nameOf(worst.id)}: ${worst.message}${andMore(verdicts)}`;
}
