// Over 300 lines: when a stack is worked on, told of and waited for is one state a stack, which parts of would only pass around.
import type { Logger } from 'pino';
import type { TargetState } from '../../contract/target-state.ts';
import { type Backoff, jittered, retryMs } from '../concurrency/backoff.ts';
import { createSemaphore } from '../concurrency/semaphore.ts';
import type { Header, Inventory } from '../inventory/inventory.ts';
import { errorMessage } from '../kube/api-error.ts';
import { fullName, type PassResult, type SyncContext } from '../sync/context.ts';
import { createRepairBackoff } from '../sync/repair-backoff.ts';
import { contextForStack } from '../sync/stack-context.ts';
import { admitEntry, type Seen } from '../target/admission.ts';
import { eventOf, type StackEvent } from '../target/stack-event.ts';
import { type Entry, hasSameSpec, isSameDeployment, limitedEntries } from '../target/target-state.ts';
import { createEventDeduplicator, forgetNews } from './event-deduplicator.ts';
import { runPass } from './run-pass.ts';
import { createStackRegistry, type StackState } from './stack-registry.ts';

export interface ReconcilerOptions {
  readonly context: Omit<SyncContext, 'registry' | 'repairBackoff'>;
  /** What was in the cluster at the start. */
  readonly inventories: ReadonlyMap<string, Inventory>;
  readonly report: (event: StackEvent) => void;
  /** Told of each pass; with the entry of a deployment that this one tried to apply for the first time, or again after that failed. */
  readonly observePass: (outcome: string, seconds: number, fresh: Entry | undefined) => void;
  /** Something newer was told to another process: it is time to ask what. */
  readonly overtaken: () => void;
  readonly log: Logger;
  readonly retry?: Backoff;
  /** How often a stack that is as it should be is looked at again. */
  readonly resyncMs?: number;
}

/** Makes the cluster be as it is told, each stack by itself: none waits for another's failure or slowness. */
export interface Reconciler {
  /** Takes a whole target state. `old` for one of an epoch before the latest; `doubtful` when some of it was older than what was seen. */
  accept(state: TargetState): 'taken' | 'old' | 'doubtful';
  /** Goes on with the stacks that waited for this manifest. */
  manifestArrived(checksum: string): void;
  /** Goes on with what waits for this stack's objects to be healthy: the stack itself, and those that depend on it. */
  healthChanged(stackId: string): void;
  /** Something of a stack is not as its last pass left it. */
  enqueue(stackId: string): void;
  /** Says again what came of a stack: what was said of it is lost. */
  resendEvent(stackId: string): void;
  /** What is told about a stack now; undefined when nothing is. */
  entryOf(stackId: string): Entry | undefined;
  /** What the cluster holds, to present to the broker. */
  held(): { stackId: string; deploymentId: string; order: bigint }[];
  /** The highest epoch and order that were seen. */
  readonly epoch: bigint;
  readonly order: bigint;
  readonly counts: { readonly stacks: number; readonly unsettled: number };
  /** Lets running passes come to a safe point, at most for `graceMs`, and ends. */
  close(graceMs: number): Promise<void>;
}

const defaultRetry: Backoff = { baseMs: 1_000, maxMs: 60_000 };
const defaultResyncMs = 10 * 60_000;
/** What passes may hold in manifests at the same time; one that is larger runs alone. */
const manifestBudget = 24 << 20;
/** What a pass costs besides its manifest. */
const passCost = 512 << 10;
/** Between looks at whether other objects are healthy by now, when no watch tells. */
const look: Backoff = { baseMs: 500, maxMs: 10_000 };
/** What mostly comes by itself is told only when it is late. */
const patienceMs = 5_000;

export function createReconciler(options: ReconcilerOptions): Reconciler {
  const { context, log, retry = defaultRetry, resyncMs = defaultResyncMs } = options;
  const slots = new Map<string, StackState>();
  const closing = new AbortController();
  const budget = createSemaphore(manifestBudget);
  const running = new Set<Promise<void>>();
  let epoch = 0n;
  let paused = false;

  const { tell, tellDrift } = createEventDeduplicator(options.report, log);
  const slotOf = (stackId: string): StackState => {
    const slot = slots.get(stackId) ?? { stackId, attempt: 0, touched: false };
    slots.set(stackId, slot);
    return slot;
  };
  for (const [stackId, { header, items }] of options.inventories) {
    Object.assign(slotOf(stackId), { header, seen: header, begun: header?.removed === false, isOver: header?.removed });
    context.ownership.note(stackId, items.values());
    if (header && header.epoch > epoch) epoch = header.epoch;
  }
  const wake = (slot: StackState, delayMs = 0) => {
    clearTimeout(slot.timer);
    slot.timer = undefined;
    if (paused || closing.signal.aborted) return;
    if (slot.running) slot.again = true;
    else slot.timer = setTimeout(() => start(slot), delayMs);
  };
  const workshop: SyncContext = {
    ...context,
    repairBackoff: createRepairBackoff(),
    registry: createStackRegistry(slots, context, (stackIds) => {
      for (const stackId of stackIds) wake(slotOf(stackId));
    }),
  };

  const start = (slot: StackState) => {
    slot.timer = undefined;
    slot.running = true;
    const weight = Math.min(manifestBudget, passCost + (slot.entry?.size ?? 0));
    const pass = budget
      .run(() => work(slot), closing.signal, weight)
      .catch((error: unknown) => {
        if (!closing.signal.aborted)
          log.error({ err: error, stackId: slot.stackId }, 'a pass ended in an unexpected way');
      });
    running.add(pass);
    void pass.finally(() => {
      running.delete(pass);
      slot.running = false;
      if (!slot.again) return;
      slot.again = false;
      wake(slot);
    });
  };

  const work = async (slot: StackState) => {
    const { entry } = slot;
    if (paused || closing.signal.aborted) return;
    if (!entry) return forget(slot);
    const startedAt = performance.now();
    // After a restart it is not known how far the agent before had come: what it began is not told as new.
    const isFresh = entry.state === 'active' && !slot.done && (slot.touched || !slot.begun);
    const result = await attempt(slot, entry);
    if (!result) return;
    options.observePass(
      'event' in result ? result.event.outcome : result.kind,
      (performance.now() - startedAt) / 1000,
      isFresh ? entry : undefined,
    );
    // What another deployment wrote says nothing about the one that was told meanwhile.
    const isLatest = slot.entry !== undefined && isSameDeployment(slot.entry, entry);
    if (result.kind === 'settled' && entry.state === 'active' && isLatest) slot.done = entry;
    settle(slot, result);
  };

  /** Of a stack, by this process or another. */
  const latestOf = ({ newer, seen }: StackState): Seen | undefined => newer ?? seen;

  const attempt = async (slot: StackState, entry: Entry): Promise<PassResult | undefined> => {
    const isCurrent = () =>
      slot.entry !== undefined && hasSameSpec(slot.entry, entry) && !paused && !closing.signal.aborted;
    const isFirst = !slot.touched;
    slot.touched = true;
    const isAlreadyApplied = slot.done !== undefined && hasSameSpec(slot.done, entry);
    const history = slot.done ? 'applied' : slot.begun ? 'begun' : 'new';
    return runPass(
      contextForStack(entry, workshop),
      { entry, epoch: slot.seen?.epoch ?? epoch, isFirst, isAlreadyApplied, history, signal: closing.signal },
      isCurrent,
      log,
    );
  };

  const settle = (slot: StackState, result: PassResult) => {
    context.objectCache.settled(slot.stackId, result.kind === 'settled');
    const { newer } = slot;
    // Of one that was told anew meanwhile, the next pass says.
    slot.newer = result.kind === 'overtaken' && !slot.again ? result.by : undefined;
    switch (result.kind) {
      case 'repeat':
        slot.again = true;
        return;
      case 'overtaken': {
        if (slot.again) return;
        const { stackId, entry } = slot;
        const { epoch: newerEpoch, order } = result.by;
        const told = { stackId, told: String(entry?.order), epoch: String(newerEpoch), order: String(order) };
        if (newer?.epoch !== newerEpoch || newer.order !== order)
          log.warn(
            told,
            'another process has applied something newer of a stack; nothing is done before it is told here',
          );
        slot.looks = undefined;
        slot.attempt += 1;
        slot.settled = false;
        slot.waitingSince = undefined;
        options.overtaken();
        later(slot, retry.baseMs / 4 + jittered(retry, slot.attempt));
        return;
      }
      case 'settled':
        slot.attempt = 0;
        slot.settled = true;
        slot.waitingSince = undefined;
        slot.looks = undefined;
        tell(slot, result.event);
        tellDrift(slot, result.drift);
        wakeWaiting(slot.stackId);
        // What was let go of may be what another stack waits for.
        if (result.event.changes.some(({ action }) => action === 'deleted')) retryOthers(slot);
        if (slot.entry?.state === 'active')
          later(slot, Math.min(result.recheckMs ?? Number.POSITIVE_INFINITY, resyncMs * (0.8 + 0.4 * Math.random())));
        return;
      case 'waiting':
        slot.attempt = 0;
        slot.settled = false;
        slot.waitingSince = undefined;
        tell(slot, result.event);
        if (result.event.changes.length > 0) slot.looks = undefined;
        slot.looks = (slot.looks ?? 0) + 1;
        later(slot, look.baseMs / 4 + Math.min(retry.maxMs, jittered(look, slot.looks)));
        return;
      case 'unsettled':
        slot.looks = undefined;
        slot.attempt += 1;
        slot.settled = false;
        slot.waitingSince ??= Date.now();
        if (!result.waiting || Date.now() - slot.waitingSince > patienceMs) tell(slot, result.event);
        later(slot, retryMs(retry, slot.attempt));
        return;
    }
  };
  /** As `wake`, from within the slot's own pass. */
  const later = (slot: StackState, delayMs: number) => {
    if (slot.again || paused || closing.signal.aborted) return;
    clearTimeout(slot.timer);
    slot.timer = setTimeout(() => (slot.running ? wake(slot) : start(slot)), delayMs);
  };

  /** The stack itself, when it waits for its own earlier objects, and those that depend on it. */
  const wakeWaiting = (stackId: string) => {
    for (const slot of slots.values()) {
      if (slot.looks === undefined || !slot.entry) continue;
      if (slot.entry.dependsOnIds.includes(stackId) || slot.stackId === stackId) wake(slot);
    }
  };

  const retryOthers = (done: StackState) => {
    for (const slot of slots.values())
      if (slot !== done && slot.entry && slot.settled === false && slot.attempt > 0) wake(slot, retry.baseMs / 4);
  };

  /** The broker no longer speaks of a stack: a note that it was removed is of no more use. Anything else is kept. */
  const forget = async (slot: StackState) => {
    try {
      const inventory = await context.inventories.load(slot.stackId, closing.signal);
      if (slot.entry || !inventory.header?.removed || inventory.items.size > 0) return;
      await context.inventories.remove(inventory, closing.signal);
    } catch (error) {
      if (closing.signal.aborted) return;
      log.warn(
        { stackId: slot.stackId, reason: errorMessage(error) },
        'a removed stack’s inventory could not be deleted',
      );
      later(slot, retry.maxMs);
    }
  };

  const take = (slot: StackState, entry: Entry, at: bigint) => {
    const isNew = !slot.entry || !hasSameSpec(slot.entry, entry) || slot.seen?.epoch !== at;
    const before = slot.entry ?? slot.header;
    if (before && !isSameDeployment(before, entry)) Object.assign(slot, { done: undefined, begun: false });
    if (entry.state !== 'active') context.objectCache.forget(slot.stackId);
    slot.ahead = false;
    slot.newer = undefined;
    slot.entry = entry;
    slot.known = { stack: fullName(entry), generator: entry.generator };
    slot.seen = { epoch: at, order: entry.order, deploymentId: entry.deploymentId } satisfies Seen;
    if (!isNew) return;
    slot.attempt = 0;
    slot.settled = false;
    slot.waitingSince = undefined;
    slot.looks = undefined;
    wake(slot);
  };

  return {
    accept(state) {
      if (state.epoch < epoch) return 'old';
      const resumed = paused && !state.paused;
      // A restored broker may have lost what it was told before.
      if (state.epoch > epoch) for (const slot of slots.values()) forgetNews(slot);
      epoch = state.epoch;
      paused = state.paused;
      if (paused) {
        for (const slot of slots.values()) clearTimeout(slot.timer);
        return 'taken';
      }
      let answer: 'taken' | 'doubtful' = 'taken';
      const listed = new Set(state.entries.map(({ stackId }) => stackId));
      // All entries first: each pass has to know what the others desire.
      for (const entry of limitedEntries(state)) {
        const slot = slotOf(entry.stackId);
        switch (admitEntry(entry, state.epoch, latestOf(slot))) {
          case 'take':
            take(slot, entry, state.epoch);
            break;
          case 'stale':
            answer = 'doubtful';
            break;
          case 'ahead':
            slot.entry = undefined;
            slot.ahead = true;
            context.objectCache.forget(slot.stackId);
            tell(
              slot,
              eventOf(entry, 'ahead', 'the cluster holds something newer than the broker knows, and keeps it'),
            );
        }
      }
      for (const slot of slots.values()) {
        if (listed.has(slot.stackId) || !(slot.entry || slot.isOver)) continue;
        slot.entry = undefined;
        slot.isOver = false;
        context.objectCache.forget(slot.stackId);
        wake(slot);
      }
      if (resumed) for (const slot of slots.values()) if (slot.entry) wake(slot);
      return answer;
    },
    manifestArrived(checksum) {
      for (const slot of slots.values()) if (slot.entry?.checksum === checksum && !slot.settled) wake(slot);
    },
    healthChanged: wakeWaiting,
    enqueue(stackId) {
      const slot = slots.get(stackId);
      // One that is not as it should be anyway is tried again in its own time.
      if (slot?.entry && (slot.settled || slot.running)) wake(slot);
    },
    resendEvent(stackId) {
      const slot = slots.get(stackId);
      if (!slot) return;
      slot.news = undefined;
      wake(slot, retry.baseMs);
    },
    entryOf: (stackId) => slots.get(stackId)?.entry,
    held: () =>
      [...slots.values()].flatMap((slot) => {
        const seen = latestOf(slot);
        if (!seen || isOver(slot.newer ?? slot.header, seen)) return [];
        return [{ stackId: slot.stackId, deploymentId: seen.deploymentId, order: seen.order }];
      }),
    get epoch() {
      return epoch;
    },
    get order() {
      let highest = 0n;
      for (const slot of slots.values()) {
        const order = latestOf(slot)?.order ?? 0n;
        if (order > highest) highest = order;
      }
      return highest;
    },
    get counts() {
      const told = [...slots.values()].filter(({ entry }) => entry);
      return { stacks: told.length, unsettled: told.filter(({ settled }) => !settled).length };
    },
    async close(graceMs) {
      paused = true;
      for (const slot of slots.values()) clearTimeout(slot.timer);
      const timer = setTimeout(() => closing.abort(new Error('the agent stops')), graceMs);
      await Promise.allSettled(running);
      clearTimeout(timer);
      closing.abort(new Error('the agent stops'));
    },
  };
}

/** Removed before this process began, and nothing seen since. */
function isOver(header: Header | undefined, seen: Seen): boolean {
  return header?.removed === true && header.order === seen.order;
}
