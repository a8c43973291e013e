import { healthOf } from '../health/evaluate.ts';
import { findHolding } from '../health/holding.ts';
import { verdictOfEnded } from '../health/run.ts';
import { type Verdict, worstOf } from '../health/status.ts';
import { readLive } from '../kube/read-objects.ts';
import { andMore, displayName, keyOf } from '../object/kube-object.ts';
import type { Entry } from '../target/target-state.ts';
import type { Pass, SyncContext } from './context.ts';
import { contextForStack } from './stack-context.ts';

/**
 * Returns why a stack has to wait for one that it depends on: that one is missing here, not applied as desired, or not healthy.
 * Undefined when it need not wait.
 */
export async function dependencyBlocker(
  context: SyncContext,
  { entry, isAlreadyApplied, signal }: Pass,
): Promise<string | undefined> {
  // A stack that was applied in full is kept as it is, whatever becomes of its dependencies.
  if (isAlreadyApplied) return undefined;
  for (const stackId of entry.dependsOnIds) {
    const reason = await unreadyReason(context, stackId, signal);
    if (reason !== undefined) return `waits for stack ${context.registry.get(stackId).stack}, ${reason}`;
  }
  return undefined;
}

const gone: Verdict = { health: 'failed', message: 'it is gone' };

/** Returns why a dependency is not ready, as a relative clause; undefined when it is. */
async function unreadyReason(context: SyncContext, stackId: string, signal: AbortSignal): Promise<string | undefined> {
  const progress = context.registry.progressOf(stackId);
  switch (progress.kind) {
    case 'absent':
      // A target state omits stacks without a deployment, so the agent cannot distinguish the two cases.
      return 'which this agent does not serve, or of which nothing was submitted yet';
    case 'removing':
      return 'which is being removed here';
    case 'ahead':
      return 'which is ahead of what the broker knows';
    case 'pending':
      return `which is not applied yet${progress.message === '' ? '' : `: ${progress.message}`}`;
    case 'applied':
      return unhealthyReason(context, progress.entry, signal);
  }
}

async function unhealthyReason(context: SyncContext, entry: Entry, signal: AbortSignal): Promise<string | undefined> {
  const { stackId } = entry;
  const { items } = await context.inventories.load(stackId, signal);
  const ids = [...items.values()].map(({ id }) => id);
  const { cluster } = contextForStack(entry, context);
  const live = await readLive(cluster, ids, { stackId, known: new Set(items.keys()) }, signal);
  const seen = context.objectCache.get(stackId)?.objects;
  const verdicts = ids.flatMap((id) => {
    const object = live.get(keyOf(id));
    const { run, desired = '' } = seen?.get(keyOf(id)) ?? {};
    const verdict = object ? healthOf(object) : (verdictOfEnded(run, desired) ?? gone);
    return verdict.health === 'healthy' ? [] : [{ ...verdict, id, object }];
  });
  const holding = await findHolding(cluster, verdicts, { begun: [...live.values()], later: [] }, signal);
  const worst = holding.find(({ health }) => health === worstOf(holding));
  if (!worst) return undefined;
  return `which is ${worst.health}: ${displayName(worst.id)}: ${worst.message}${andMore(holding)}`;
}
