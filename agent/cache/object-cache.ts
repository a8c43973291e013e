import { healthOf } from '../health/evaluate.ts';
import { deletedRunOf, runOf } from '../health/run.ts';
import type { WatchHandler } from '../kube/informer.ts';
import { checksumOf } from '../object/compare.ts';
import type { DesiredObject, LiveObjects } from '../object/desired-object.ts';
import { groupKindOf, type KindId, type KubeObject, keyOf, objectIdOf } from '../object/kube-object.ts';
import { fingerprintOf } from '../object/managed-fields-hash.ts';
import { hasEnded, type Run } from '../object/run.ts';
import type { Entry } from '../target/target-state.ts';
import { absent, type CachedObject, missing, unseen } from './cached-object.ts';
import { createDriftNotifier, type DriftNotifier } from './drift-notifier.ts';
import { createObjectStacks, type ObjectStacks } from './object-stacks.ts';
import { isOlderVersion } from './resource-version.ts';

export interface CachedStack {
  readonly entry: Entry;
  readonly objects: ReadonlyMap<string, CachedObject>;
  /** True when the last pass left the stack as desired. */
  readonly isSettled: boolean;
}

/** The desired objects of all stacks, as passes and watches saw them last. */
export interface ObjectCache extends WatchHandler, PassRecords {
  get(stackId: string): CachedStack | undefined;
  stackIds(): Iterable<string>;
  /** Number of desired objects. */
  readonly size: number;
  /** Lists the kinds of all desired objects. */
  kinds(): KindId[];
  close(): void;
}

/** The part of the cache that passes write. */
interface PassRecords {
  /**
   * Stores what a pass desires and what it has read, beginning at `readAt`. Changes of an object that another stack owns are announced
   * for that stack, until this one has written the object. `recordedRunOf` returns what an earlier process knew of an object's run.
   */
  read(
    entry: Entry,
    desired: readonly DesiredObject[],
    live: LiveObjects,
    readAt: number,
    ownerOf: (key: string) => string | undefined,
    recordedRunOf?: (key: string) => Run | undefined,
  ): void;
  /** Stores an object that a pass has written; the request began at `askedAt`. */
  wrote(stackId: string, object: KubeObject, askedAt: number): void;
  settled(stackId: string, isSettled: boolean): void;
  /** Removes a stack that is not to be here any more. */
  forget(stackId: string): void;
}

export interface ObjectCacheOptions {
  /** Called when objects of a stack are not as its last pass left them. */
  readonly objectsChanged: (stackId: string) => void;
  /** Called when an object of a stack was seen; undefined when it does not exist. */
  readonly objectSeen: (stackId: string, key: string, object: KubeObject | undefined) => void;
  /** Called when a pass has begun or ended: what is known of the stack's objects now counts for another deployment. */
  readonly passSeen: (stackId: string) => void;
  /** Called when other kinds may be desired. */
  readonly kindsChanged: () => void;
  /** Milliseconds in which changes gather; default 100. */
  readonly gatherMs?: number;
  /** Milliseconds between two announcements of changes of a stack; default 1 s. */
  readonly intervalMs?: number;
}

interface MutableStack {
  entry: Entry;
  readonly objects: Map<string, CachedObject>;
  isSettled: boolean;
}

interface State {
  readonly options: ObjectCacheOptions;
  readonly stacks: Map<string, MutableStack>;
  readonly objectStacks: ObjectStacks;
  readonly drift: DriftNotifier;
}

export function createObjectCache(options: ObjectCacheOptions): ObjectCache {
  const stacks = new Map<string, MutableStack>();
  const objectStacks = createObjectStacks();
  const drift = createDriftNotifier({
    gatherMs: options.gatherMs ?? 100,
    intervalMs: options.intervalMs ?? 1_000,
    hasDrifted(stackId, key) {
      const cached = stacks.get(stackId)?.objects.get(key);
      return cached !== undefined && cached.observed !== cached.expected;
    },
    notify: options.objectsChanged,
  });
  const state: State = { options, stacks, objectStacks, drift };
  return {
    ...passMethods(state),
    ...watchMethods(state),
    get: (stackId) => stacks.get(stackId),
    stackIds: () => stacks.keys(),
    get size() {
      return objectStacks.size;
    },
    kinds() {
      const kinds = new Map<string, KindId>();
      for (const { objects } of stacks.values())
        for (const { id } of objects.values()) if (!kinds.has(groupKindOf(id))) kinds.set(groupKindOf(id), id);
      return [...kinds.values()];
    },
    close() {
      drift.close();
      stacks.clear();
      objectStacks.clear();
    },
  };
}

function passMethods(state: State): PassRecords {
  const { options, stacks, objectStacks, drift } = state;
  return {
    read(entry, desired, live, readAt, ownerOf, recordedRunOf) {
      const { stackId } = entry;
      const stack = stacks.get(stackId) ?? { entry, objects: new Map(), isSettled: false };
      stacks.set(stackId, stack);
      if (stack.entry.deploymentId !== entry.deploymentId) stack.isSettled = false;
      stack.entry = entry;
      const listed = new Set(desired.map(({ id }) => keyOf(id)));
      const dropped = [...stack.objects.keys()].filter((key) => !listed.has(key));
      drop(state, stack, dropped);
      for (const { id, checksum } of desired) {
        const key = keyOf(id);
        const cached = stack.objects.get(key) ?? unseen(id);
        cached.desired = checksum;
        cached.run ??= recordedRunOf?.(key);
        stack.objects.set(key, cached);
        if ((ownerOf(key) ?? stackId) === stackId) objectStacks.own(key, stackId);
        else objectStacks.contend(key, stackId);
        expect(state, stack, cached, live.get(key), readAt);
      }
      options.passSeen(stackId);
      options.kindsChanged();
    },
    wrote(stackId, object, askedAt) {
      const stack = stacks.get(stackId);
      const key = keyOf(objectIdOf(object));
      const cached = stack?.objects.get(key);
      if (!stack || !cached) return;
      objectStacks.own(key, stackId);
      expect(state, stack, cached, object, askedAt);
    },
    settled(stackId, isSettled) {
      const stack = stacks.get(stackId);
      if (!stack || stack.isSettled === isSettled) return;
      stack.isSettled = isSettled;
      options.passSeen(stackId);
    },
    forget(stackId) {
      const stack = stacks.get(stackId);
      if (!stack) return;
      drift.forget(stackId);
      drop(state, stack, [...stack.objects.keys()]);
      stacks.delete(stackId);
      options.kindsChanged();
    },
  };
}

function watchMethods(state: State): WatchHandler {
  const { stacks } = state;
  return {
    onChange: (object, listedAt) => observe(state, keyOf(objectIdOf(object)), { object, listedAt }),
    onDelete: (object) =>
      observe(state, keyOf(objectIdOf(object)), {
        object: undefined,
        deleted: object,
        version: object.metadata.resourceVersion,
      }),
    onList(kind, keys, listedAt) {
      const name = groupKindOf(kind);
      for (const { objects } of stacks.values())
        for (const [key, { id, observed }] of objects)
          if (groupKindOf(id) === name && !keys.has(key) && observed !== absent)
            observe(state, key, { object: undefined, listedAt });
    },
  };
}

/** A state of an object, and what tells its place among others. */
interface Observation {
  readonly object: KubeObject | undefined;
  /** An object that is gone, as it was last. */
  readonly deleted?: KubeObject;
  readonly version?: string | undefined;
  /** Time of the request; undefined for an event of a watch. */
  readonly askedAt?: number | undefined;
}

/**
 * Stores a state of an object unless a later one is known; returns whether it did. Answers and events of a watch overtake each other:
 * the one with the higher resourceVersion is later. Where versions cannot tell, an answer counts as older than what arrived since it
 * was asked for, because the watch delivers whatever is later still.
 */
function takeObservation(
  state: State,
  stack: MutableStack,
  cached: CachedObject,
  { object, deleted, version = object?.metadata.resourceVersion, askedAt }: Observation,
): boolean {
  const isAskedSince = askedAt !== undefined && askedAt > cached.observedAt;
  const isOlder = isOlderVersion(version, cached.version) ?? askedAt !== undefined;
  if (isOlder && !isAskedSince) return false;
  cached.observed = object ? fingerprintOf(object) : absent;
  cached.observedAt = performance.now();
  cached.version = version ?? cached.version;
  if (object) cached.run = runOf(object);
  else if (deleted) cached.run = deletedRunOf(deleted) ?? cached.run;
  noteHealth(state, stack, cached, object);
  return true;
}

/** Stores what a pass knows, having asked at some time. */
function expect(
  state: State,
  stack: MutableStack,
  cached: CachedObject,
  object: KubeObject | undefined,
  askedAt: number,
): void {
  cached.expected = object ? fingerprintOf(object) : absent;
  takeObservation(state, stack, cached, { object, askedAt });
  if (cached.observed !== cached.expected) suspect(state, stack, cached);
}

/** Stores what a watch delivered, for every stack that desires the object. */
function observe(
  state: State,
  key: string,
  { listedAt, ...observation }: Omit<Observation, 'askedAt'> & { readonly listedAt?: number | undefined },
): void {
  const owner = state.objectStacks.ownerOf(key);
  for (const stackId of state.objectStacks.stacksOf(key)) {
    const stack = state.stacks.get(stackId);
    const cached = stack?.objects.get(key);
    if (!stack || !cached) continue;
    const { run } = cached;
    if (!takeObservation(state, stack, cached, { ...observation, askedAt: listedAt })) continue;
    // A pass records the end, because the object may be gone before this process ends.
    if (hasEnded(cached.run) && !(hasEnded(run) && run?.uid === cached.run?.uid)) state.options.objectsChanged(stackId);
    if (stackId === owner && cached.observed !== cached.expected) suspect(state, stack, cached);
  }
}

function noteHealth({ options }: State, stack: MutableStack, cached: CachedObject, object: KubeObject | undefined) {
  cached.checksum = object && checksumOf(object);
  cached.uid = object?.metadata.uid ?? '';
  cached.verdict = object ? healthOf(object) : missing;
  options.objectSeen(stack.entry.stackId, keyOf(cached.id), object);
}

function suspect({ drift }: State, { entry }: MutableStack, { id }: CachedObject): void {
  // A pass changes nothing where drift is ignored.
  if (entry.drift !== 'ignore') drift.suspect(entry.stackId, keyOf(id));
}

function drop({ objectStacks }: State, { entry, objects }: MutableStack, keys: readonly string[]): void {
  for (const key of keys) {
    objects.delete(key);
    objectStacks.drop(key, entry.stackId);
  }
}
