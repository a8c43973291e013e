import { healthOf } from '../health/evaluate.ts';
import type { Verdict } from '../health/status.ts';
import type { WatchHandler } from '../kube/informer.ts';
import { checksumOf } from '../object/compare.ts';
import type { DesiredObject, LiveObjects } from '../object/desired-object.ts';
import { groupKindOf, idOf, type KindId, type KubeObject, keyOf, type ObjectId } from '../object/kube-object.ts';
import { fingerprintOf } from '../object/managed-fields-hash.ts';
import type { Entry } from '../target/target-state.ts';
import { createDriftNotifier, type DriftNotifier } from './drift-notifier.ts';

/** A desired object as it was seen last. Its content is not kept, so that thousands cost little. */
export interface CachedObject {
  readonly id: ObjectId;
  /** Checksum of the desired object. */
  desired: string;
  /** Checksum of the live object; undefined while it does not exist. */
  checksum: string | undefined;
  uid: string;
  verdict: Verdict;
  /** Fingerprint that the stack's last pass left. */
  expected: string;
  /** Fingerprint that a watch delivered last. */
  observed: string;
  /** When that was; a pass that began to read later knows better. */
  observedAt: number;
}

export interface CachedStack {
  readonly entry: Entry;
  readonly objects: ReadonlyMap<string, CachedObject>;
  /** True when the last pass left the stack as desired. */
  readonly isSettled: boolean;
}

/** The desired objects of all stacks, as passes and watches saw them last. */
export interface ObjectCache extends WatchHandler {
  /**
   * Stores what a pass desires and what it has read, beginning at `readAt`. Changes of an object that another stack owns are announced
   * for that stack, until this one has written the object.
   */
  read(
    entry: Entry,
    desired: readonly DesiredObject[],
    live: LiveObjects,
    readAt: number,
    ownerOf: (key: string) => string | undefined,
  ): void;
  /** Stores an object that a pass has written; the request began at `askedAt`. */
  wrote(stackId: string, object: KubeObject, askedAt: number): void;
  settled(stackId: string, isSettled: boolean): void;
  /** Removes a stack that is not to be here any more. */
  forget(stackId: string): void;
  get(stackId: string): CachedStack | undefined;
  stackIds(): Iterable<string>;
  /** Number of desired objects. */
  readonly size: number;
  /** Lists the kinds of all desired objects. */
  kinds(): KindId[];
  close(): void;
}

export interface ObjectCacheOptions {
  /** Called when objects of a stack are not as its last pass left them. */
  readonly objectsChanged: (stackId: string) => void;
  /** Called when an object of a stack was seen; undefined when it does not exist. */
  readonly objectSeen: (stackId: string, key: string, object: KubeObject | undefined) => void;
  /** Called when other kinds may be desired. */
  readonly kindsChanged: () => void;
  /** Milliseconds in which changes gather; default 100. */
  readonly gatherMs?: number;
  /** Milliseconds between two announcements of changes of a stack; default 1 s. */
  readonly intervalMs?: number;
}

const absent = '';
const missing: Verdict = { health: 'progressing', message: 'it is not there' };

interface MutableStack {
  entry: Entry;
  readonly objects: Map<string, CachedObject>;
  isSettled: boolean;
}

interface State {
  readonly options: ObjectCacheOptions;
  readonly stacks: Map<string, MutableStack>;
  /** The stack that an object's changes are announced for, by object key. */
  readonly owners: Map<string, string>;
  readonly drift: DriftNotifier;
}

export function createObjectCache(options: ObjectCacheOptions): ObjectCache {
  const stacks = new Map<string, MutableStack>();
  const owners = new Map<string, string>();
  const drift = createDriftNotifier({
    gatherMs: options.gatherMs ?? 100,
    intervalMs: options.intervalMs ?? 1_000,
    hasDrifted(stackId, key) {
      const cached = stacks.get(stackId)?.objects.get(key);
      return cached !== undefined && cached.observed !== cached.expected;
    },
    notify: options.objectsChanged,
  });
  const state: State = { options, stacks, owners, drift };
  return {
    ...passMethods(state),
    ...watchMethods(state),
    get: (stackId) => stacks.get(stackId),
    stackIds: () => stacks.keys(),
    get size() {
      return owners.size;
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
      owners.clear();
    },
  };
}

function passMethods(state: State): Pick<ObjectCache, 'read' | 'wrote' | 'settled' | 'forget'> {
  const { options, stacks, owners, drift } = state;
  return {
    read(entry, desired, live, readAt, ownerOf) {
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
        stack.objects.set(key, cached);
        if ((ownerOf(key) ?? stackId) === stackId) owners.set(key, stackId);
        expect(state, stack, cached, live.get(key), readAt);
      }
      options.kindsChanged();
    },
    wrote(stackId, object, askedAt) {
      const stack = stacks.get(stackId);
      const key = keyOf(idOf(object));
      const cached = stack?.objects.get(key);
      if (!stack || !cached) return;
      owners.set(key, stackId);
      expect(state, stack, cached, object, askedAt);
    },
    settled(stackId, isSettled) {
      const stack = stacks.get(stackId);
      if (stack) stack.isSettled = isSettled;
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
    onChange: (object) => observe(state, keyOf(idOf(object)), object),
    onDelete: (object) => observe(state, keyOf(idOf(object)), undefined),
    onList(kind, keys) {
      const name = groupKindOf(kind);
      for (const { objects } of stacks.values())
        for (const [key, { id, observed }] of objects)
          if (groupKindOf(id) === name && !keys.has(key) && observed !== absent) observe(state, key, undefined);
    },
  };
}

/** Stores what a pass knows, having asked at some time. A watch may have delivered something later. */
function expect(
  state: State,
  stack: MutableStack,
  cached: CachedObject,
  object: KubeObject | undefined,
  askedAt: number,
): void {
  cached.expected = object ? fingerprintOf(object) : absent;
  if (cached.observedAt < askedAt) cached.observed = cached.expected;
  if (cached.observed === cached.expected) noteHealth(state, stack, cached, object);
  else suspect(state, stack, cached);
}

/** Stores what a watch delivered. */
function observe(state: State, key: string, object: KubeObject | undefined): void {
  const stack = state.stacks.get(state.owners.get(key) ?? '');
  const cached = stack?.objects.get(key);
  if (!stack || !cached) return;
  cached.observed = object ? fingerprintOf(object) : absent;
  cached.observedAt = performance.now();
  noteHealth(state, stack, cached, object);
  if (cached.observed !== cached.expected) suspect(state, stack, cached);
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

function drop({ owners }: State, { entry, objects }: MutableStack, keys: readonly string[]): void {
  for (const key of keys) {
    objects.delete(key);
    if (owners.get(key) === entry.stackId) owners.delete(key);
  }
}

function unseen(id: ObjectId): CachedObject {
  return {
    id,
    desired: '',
    checksum: undefined,
    uid: '',
    verdict: missing,
    expected: absent,
    observed: absent,
    observedAt: Number.NEGATIVE_INFINITY,
  };
}
