import type { TargetState } from '../../contract/target-state.ts';
import type { Inventory } from '../inventory/inventory.ts';
import type { Ownership } from '../inventory/object-owners.ts';
import { fullName } from '../sync/context.ts';
import { admitEntry } from '../target/admission.ts';
import { type Entry, hasSameSpec, isSameDeployment, limitedEntries } from '../target/target-state.ts';
import { createStack, isUnsettled, latestSeen, resetPhase, restingPhase, type Stack } from './stack.ts';

/** Holds the stacks that the agent knows, and what the broker asks for of each. */
export interface StackStore {
  get(stackId: string): Stack | undefined;
  all(): Iterable<Stack>;
  /** Stores a whole target state. Changes nothing in the cluster. */
  accept(state: TargetState): Acceptance;
  /** Returns what the broker asks for of a stack now; undefined when it does not list the stack. */
  entryOf(stackId: string): Entry | undefined;
  /** Lists what the cluster holds, to present to the broker. */
  held(): { stackId: string; deploymentId: string; order: bigint }[];
  /** While true, nothing is changed in the cluster. */
  readonly isPaused: boolean;
  /** The highest epoch that was seen. */
  readonly epoch: bigint;
  /** The highest order that was seen. */
  readonly order: bigint;
  readonly counts: { readonly stacks: number; readonly unsettled: number };
}

export interface Acceptance {
  /** `old`: the state's epoch is over, and nothing of it was taken. `doubtful`: some entries were older than what was seen. */
  readonly verdict: 'taken' | 'old' | 'doubtful';
  /** Ids of the stacks that have to be processed. */
  readonly due: ReadonlySet<string>;
}

/** Creates the store with the stacks that the cluster's inventories list, and notes who owns their objects. */
export function createStackStore(
  inventories: ReadonlyMap<string, Inventory>,
  ownership: Pick<Ownership, 'note'>,
): StackStore {
  const stacks = new Map<string, Stack>();
  let epoch = 0n;
  let isPaused = false;
  for (const [stackId, { header, items }] of inventories) {
    stacks.set(stackId, createStack(stackId, header));
    ownership.note(stackId, items.values());
    if (header && header.epoch > epoch) epoch = header.epoch;
  }

  return {
    get: (stackId) => stacks.get(stackId),
    all: () => stacks.values(),
    accept(state) {
      if (state.epoch < epoch) return { verdict: 'old', due: new Set() };
      const isResumed = isPaused && !state.paused;
      // The database was restored: events that the broker had before may be lost.
      if (state.epoch > epoch)
        for (const stack of stacks.values()) stack.reported = { message: stack.reported.message };
      epoch = state.epoch;
      isPaused = state.paused;
      if (isPaused) return { verdict: 'taken', due: new Set() };
      const { verdict, due } = takeEntries(stacks, state);
      if (isResumed) for (const { stackId, entry } of stacks.values()) if (entry) due.add(stackId);
      return { verdict, due };
    },
    entryOf: (stackId) => stacks.get(stackId)?.entry,
    held: () => [...stacks.values()].flatMap(heldOf),
    get isPaused() {
      return isPaused;
    },
    get epoch() {
      return epoch;
    },
    get order() {
      const orders = [...stacks.values()].map((stack) => latestSeen(stack)?.order ?? 0n);
      return orders.reduce((highest, order) => (order > highest ? order : highest), 0n);
    },
    get counts() {
      const listed = [...stacks.values()].filter(({ entry }) => entry);
      return { stacks: listed.length, unsettled: listed.filter(isUnsettled).length };
    },
  };
}

function takeEntries(stacks: Map<string, Stack>, state: TargetState) {
  const due = new Set<string>();
  let verdict: 'taken' | 'doubtful' = 'taken';
  for (const entry of limitedEntries(state)) {
    const { stackId } = entry;
    const stack = stacks.get(stackId) ?? createStack(stackId);
    stacks.set(stackId, stack);
    switch (admitEntry(entry, state.epoch, latestSeen(stack))) {
      case 'take':
        if (takeEntry(stack, entry, state.epoch)) due.add(stackId);
        break;
      case 'stale':
        verdict = 'doubtful';
        break;
      case 'ahead':
        stack.entry = undefined;
        stack.ahead = entry;
        due.add(stackId);
    }
  }
  const listed = new Set(state.entries.map(({ stackId }) => stackId));
  for (const stack of stacks.values()) {
    if (listed.has(stack.stackId) || !(stack.entry || stack.mayHaveRemnant)) continue;
    stack.entry = undefined;
    stack.mayHaveRemnant = false;
    due.add(stack.stackId);
  }
  return { verdict, due };
}

/** Stores an entry. Returns whether it asks for something else than the one before. */
function takeEntry(stack: Stack, entry: Entry, epoch: bigint): boolean {
  const isChanged = !stack.entry || !hasSameSpec(stack.entry, entry) || stack.seen?.epoch !== epoch;
  const before = stack.entry ?? stack.header;
  if (before && !isSameDeployment(before, entry)) stack.progress = { kind: 'new' };
  stack.ahead = undefined;
  stack.entry = entry;
  stack.label = { stack: fullName(entry), generator: entry.generator };
  stack.seen = { epoch, order: entry.order, deploymentId: entry.deploymentId };
  if (isChanged) resetPhase(stack);
  return isChanged;
}

/** Returns the last accepted entry, or nothing for a stack that an earlier process removed and that was not listed since. */
function heldOf(stack: Stack) {
  const seen = latestSeen(stack);
  if (!seen) return [];
  const phase = restingPhase(stack);
  const header = phase.kind === 'superseded' ? phase.by : stack.header;
  if (header?.removed && header.order === seen.order) return [];
  return [{ stackId: stack.stackId, deploymentId: seen.deploymentId, order: seen.order }];
}
