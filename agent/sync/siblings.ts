import type { Entry } from '../target/target-state.ts';
import type { SyncContext } from './context.ts';

/** The desired objects of the stacks that may take over objects of this one. */
export interface Siblings {
  /** Siblings whose manifest has not arrived, so that nobody knows what they desire. */
  readonly missing: readonly string[];
  /** Returns whether one of the siblings desires the object, by key. */
  isDesired(key: string): boolean;
}

/** Returns the ids of the generator's other active stacks: only these may take over objects that this stack no longer lists. */
export function siblingsOf({ registry }: Pick<SyncContext, 'registry'>, { generator, stackId }: Entry): string[] {
  return registry.activeStacksOf(generator, stackId);
}

/** Loads what the siblings desire. Without unlisted objects there is nothing to take over, and no manifest is read. */
export async function loadSiblings(
  context: Pick<SyncContext, 'registry'>,
  entry: Entry,
  hasUnlisted: boolean,
): Promise<Siblings> {
  const { registry } = context;
  const siblings = hasUnlisted ? siblingsOf(context, entry) : [];
  const missing = await registry.loadDesired(siblings);
  return { missing, isDesired: (key) => siblings.some((stackId) => registry.get(stackId).desired.has(key)) };
}
