import { healthOf } from '../health/evaluate.ts';
import type { Verdict } from '../health/status.ts';
import type { WatchHandler } from '../kube/informer.ts';
import { checksumOf } from '../object/compare.ts';
import type { DesiredObject, LiveObjects } from '../object/desired-object.ts';
import { groupKindOf, idOf, type KindId, type KubeObject, keyOf, type ObjectId } from '../object/kube-object.ts';
import { fingerprintOf } from '../object/managed-fields-hash.ts';
import type { Entry } from '../target/target-state.ts';

/** What is kept of an object that a stack desires: no content, so that thousands cost little. */
export interface Sighting {
  readonly id: ObjectId;
  /** Checksum of what is desired. */
  wanted: string;
  /** Of the object as it is; undefined while it is not there. */
  checksum: string | undefined;
  uid: string;
  verdict: Verdict;
  /** As the stack's last pass left it. */
  expected: string;
  /** As it was told last by a watch, and when; a pass that began to read later knows better. */
  latest: string;
  latestAt: number;
}

export interface StackSightings {
  readonly entry: Entry;
  readonly objects: ReadonlyMap<string, Sighting>;
  /** Whether the deployment is applied as it should be. */
  settled: boolean;
}

/** What passes and watches saw last of the objects of each stack. */
export interface ObjectCache extends WatchHandler {
  /**
   * A pass knows what its stack desires, and has read what is there of it, beginning at `readAt`. What is another stack's is told to
   * that one, until this one has written it.
   */
  read(
    entry: Entry,
    desired: readonly DesiredObject[],
    live: LiveObjects,
    readAt: number,
    ownerOf: (key: string) => string | undefined,
  ): void;
  /** A pass has written one of its objects; it had asked at `askedAt`. */
  wrote(stackId: string, object: KubeObject, askedAt: number): void;
  settled(stackId: string, isSettled: boolean): void;
  /** The stack is not to be here any more. */
  forget(stackId: string): void;
  get(stackId: string): StackSightings | undefined;
  stackIds(): Iterable<string>;
  /** How many objects are desired. */
  readonly size: number;
  /** Kinds of everything that is desired. */
  kinds(): KindId[];
  close(): void;
}

export interface ObjectCacheOptions {
  /** Something of the stack is not as its last pass left it. */
  readonly enqueue: (stackId: string) => void;
  /** How an object of the stack does may have changed; `object` as it is, undefined when it is gone. */
  readonly seen: (stackId: string, key: string, object: KubeObject | undefined) => void;
  /** Other kinds are desired now. */
  readonly kindsChanged: () => void;
  /** Watches tell of many changes at once, and of a pass's own writes before those are answered. */
  readonly gatherMs?: number;
  /** Between two alarms about one stack, so that a storm makes few passes, and few events. */
  readonly alarmMs?: number;
}

const absent = '';

interface Kept {
  entry: Entry;
  objects: Map<string, Sighting>;
  settled: boolean;
  /** Keys of what may not be as it should be. */
  suspects: Set<string>;
  timer?: NodeJS.Timeout | undefined;
  alarmedAt: number;
}

export function createObjectCache(options: ObjectCacheOptions): ObjectCache {
  const { gatherMs = 100, alarmMs = 1_000 } = options;
  const stacks = new Map<string, Kept>();
  const owners = new Map<string, string>();

  const now = () => performance.now();
  const find = (key: string) => {
    const kept = stacks.get(owners.get(key) ?? '');
    const sighting = kept?.objects.get(key);
    return kept && sighting ? { kept, sighting } : undefined;
  };
  const enqueue = (kept: Kept, key: string) => {
    kept.suspects.add(key);
    // Where drift is ignored, nothing would come of a pass.
    if (kept.timer || kept.entry.drift === 'ignore') return;
    const waitMs = Math.max(gatherMs, kept.alarmedAt + alarmMs - now());
    kept.timer = setTimeout(() => alarm(kept), waitMs);
  };
  const alarm = (kept: Kept) => {
    kept.timer = undefined;
    const isChanged = [...kept.suspects].some((key) => {
      const sighting = kept.objects.get(key);
      return sighting !== undefined && sighting.latest !== sighting.expected;
    });
    kept.suspects.clear();
    if (!isChanged) return;
    kept.alarmedAt = now();
    options.enqueue(kept.entry.stackId);
  };
  /** How an object is, for health. */
  const note = (kept: Kept, key: string, sighting: Sighting, object: KubeObject | undefined) => {
    sighting.checksum = object && checksumOf(object);
    sighting.uid = object?.metadata.uid ?? '';
    sighting.verdict = object ? healthOf(object) : missing;
    options.seen(kept.entry.stackId, key, object);
  };
  /** What a pass knows, having asked at some time: a watch may have told of something later. */
  const expect = (kept: Kept, key: string, sighting: Sighting, object: KubeObject | undefined, askedAt: number) => {
    sighting.expected = object ? fingerprintOf(object) : absent;
    if (sighting.latestAt < askedAt) sighting.latest = sighting.expected;
    else if (sighting.latest !== sighting.expected) return enqueue(kept, key);
    note(kept, key, sighting, object);
  };
  const tell = (key: string, object: KubeObject | undefined) => {
    const found = find(key);
    if (!found) return;
    const { kept, sighting } = found;
    sighting.latest = object ? fingerprintOf(object) : absent;
    sighting.latestAt = now();
    note(kept, key, sighting, object);
    if (sighting.latest !== sighting.expected) enqueue(kept, key);
  };
  const drop = (kept: Kept, keys: Iterable<string>) => {
    for (const key of keys) {
      kept.objects.delete(key);
      if (owners.get(key) === kept.entry.stackId) owners.delete(key);
    }
  };

  return {
    read(entry, desired, live, readAt, ownerOf) {
      const kept: Kept = stacks.get(entry.stackId) ?? {
        entry,
        objects: new Map(),
        settled: false,
        suspects: new Set(),
        alarmedAt: Number.NEGATIVE_INFINITY,
      };
      stacks.set(entry.stackId, kept);
      if (kept.entry.deploymentId !== entry.deploymentId) kept.settled = false;
      kept.entry = entry;
      const listed = new Set(desired.map(({ id }) => keyOf(id)));
      drop(
        kept,
        [...kept.objects.keys()].filter((key) => !listed.has(key)),
      );
      for (const { id, checksum } of desired) {
        const key = keyOf(id);
        const sighting = kept.objects.get(key) ?? {
          id,
          wanted: checksum,
          checksum: undefined,
          uid: '',
          verdict: missing,
          expected: absent,
          latest: absent,
          latestAt: Number.NEGATIVE_INFINITY,
        };
        sighting.wanted = checksum;
        kept.objects.set(key, sighting);
        if ((ownerOf(key) ?? entry.stackId) === entry.stackId) owners.set(key, entry.stackId);
        expect(kept, key, sighting, live.get(key), readAt);
      }
      options.kindsChanged();
    },
    wrote(stackId, object, askedAt) {
      const kept = stacks.get(stackId);
      const key = keyOf(idOf(object));
      const sighting = kept?.objects.get(key);
      if (!kept || !sighting) return;
      owners.set(key, stackId);
      expect(kept, key, sighting, object, askedAt);
    },
    settled(stackId, isSettled) {
      const kept = stacks.get(stackId);
      if (kept) kept.settled = isSettled;
    },
    forget(stackId) {
      const kept = stacks.get(stackId);
      if (!kept) return;
      clearTimeout(kept.timer);
      drop(kept, [...kept.objects.keys()]);
      stacks.delete(stackId);
      options.kindsChanged();
    },
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
    onChange: (object) => tell(keyOf(idOf(object)), object),
    onDelete: (object) => tell(keyOf(idOf(object)), undefined),
    onList(kind, keys) {
      const name = groupKindOf(kind);
      for (const { objects } of stacks.values())
        for (const [key, { id, latest }] of objects)
          if (groupKindOf(id) === name && !keys.has(key) && latest !== absent) tell(key, undefined);
    },
    close() {
      for (const { timer } of stacks.values()) clearTimeout(timer);
      stacks.clear();
      owners.clear();
    },
  };
}

const missing: Verdict = { health: 'progressing', message: 'it is not there' };
