import { type KubeObject, keyOf, nameOf, type ObjectId } from '../object/kube-object.ts';
import { groupByRank, rankOf } from './kind-order.ts';

/** The objects of one wave number: applied before higher numbers, and once all objects of lower numbers are healthy. */
export interface Wave<Item> {
  readonly number: number;
  /** Groups to apply one after another; the order within a group does not matter. */
  readonly groups: readonly (readonly Item[])[];
}

/** Annotation with an object's wave number: an integer, 0 when missing. */
export const waveAnnotation = 'k8s.brokkr.io/wave';
/** Annotation that lists what to apply before an object: `Kind/name` or `group/Kind/namespace/name`, separated by commas. */
const applyAfterAnnotation = 'k8s.brokkr.io/apply-after';

/** An object whose namespace is filled in. */
interface ResolvedObject {
  readonly id: ObjectId;
  readonly object: KubeObject;
}

/** A mistake in what an object says about its order. */
export interface OrderFault {
  readonly object: ObjectId;
  readonly message: string;
}

interface Node<Item> {
  readonly item: Item;
  readonly id: ObjectId;
  readonly wave: number;
  /** Keys of the objects that come first. */
  readonly after: readonly string[];
}

const maxWave = 1_000_000;
/** Maximum number of objects that one may be applied after; an object that needs more belongs in a later wave. */
const maxReferences = 100;

/** Returns the mistakes in the order annotations: numbers that are none, unknown or ambiguous references, and cycles. */
export function orderFaults(objects: readonly ResolvedObject[]): OrderFault[] {
  const index = indexOf(objects);
  const waves = new Map(objects.map(({ id, object }) => [keyOf(id), waveOf(object)]));
  const faults = objects.flatMap(({ id, object }) => {
    const wave = waveOf(object);
    if (wave === undefined) return [{ object: id, message: `its ${waveAnnotation} is not a whole number` }];
    const references = referencesOf(object);
    if (references.length > maxReferences) {
      const message = `is to be applied after ${references.length} objects, more than ${maxReferences}`;
      return [{ object: id, message }];
    }
    return references.flatMap((reference) => {
      const message = referenceFault(resolveReference(index, id, reference), reference, wave, waves);
      return message === undefined ? [] : [{ object: id, message }];
    });
  });
  if (faults.length > 0) return faults;
  const cycle = findCycle(nodesOf(objects, index, (resolved) => resolved));
  const [first] = cycle;
  if (!first) return [];
  const message = `each is to be applied after the next: ${[...cycle, first].map(nameOf).join(', ')}`;
  return [{ object: first, message }];
}

/** Returns what is wrong with a reference from an object of this wave; undefined for nothing. */
function referenceFault(
  targets: readonly ObjectId[],
  reference: string,
  wave: number,
  waves: ReadonlyMap<string, number | undefined>,
): string | undefined {
  const [target] = targets;
  if (!target) return `is to be applied after ${reference}, which this stack does not have`;
  if (targets.length > 1) return `is to be applied after ${reference}, which names ${targets.length} objects`;
  const targetWave = waves.get(keyOf(target)) ?? 0;
  if (targetWave <= wave) return undefined;
  return `is in wave ${wave}, and to be applied after ${nameOf(target)} of the later wave ${targetWave}`;
}

/**
 * Sorts items into waves, and within each wave by reference and then by kind. References to unknown objects are ignored and cycles
 * are cut, because `orderFaults` reports both.
 */
export function wavesOf<Item>(items: readonly Item[], resolvedOf: (item: Item) => ResolvedObject): Wave<Item>[] {
  const nodes = nodesOf(items, indexOf(items.map(resolvedOf)), resolvedOf);
  const byWave = Map.groupBy(nodes, ({ wave }) => wave);
  return [...byWave]
    .sort(([left], [right]) => left - right)
    .map(([number, members]) => ({ number, groups: groupsOf(members).map((group) => group.map(({ item }) => item)) }));
}

/**
 * Takes, again and again, the first kinds among the objects that wait for nothing: an object moves only behind what it waits for.
 */
function groupsOf<Item>(nodes: readonly Node<Item>[]): Node<Item>[][] {
  const groups: Node<Item>[][] = [];
  const tracker = trackDependencies(nodes);
  const readyByRank = new Map<number, Node<Item>[]>();
  const addReady = (nodesReady: readonly Node<Item>[]) => {
    for (const node of nodesReady) {
      const rank = rankOf(node.id);
      const sameRank = readyByRank.get(rank);
      if (sameRank) sameRank.push(node);
      else readyByRank.set(rank, [node]);
    }
  };
  addReady(tracker.ready);
  while (readyByRank.size > 0) {
    const rank = Math.min(...readyByRank.keys());
    const group = readyByRank.get(rank)!;
    readyByRank.delete(rank);
    groups.push(group);
    addReady(tracker.complete(group));
  }
  // The members of cycles, and what waits for them.
  return [...groups, ...groupByRank(tracker.blocked(), ({ id }) => id)];
}

interface DependencyTracker<Item> {
  /** Nodes that wait for nothing from the start. */
  readonly ready: readonly Node<Item>[];
  /** Completes nodes, each at most once, and returns those that wait for nothing any more. */
  complete(done: readonly Node<Item>[]): Node<Item>[];
  /** Returns the nodes that still wait for others. */
  blocked(): Node<Item>[];
}

/** Counts for each node what it still waits for, so that sorting takes time linear in nodes and references (Kahn's algorithm). */
function trackDependencies<Item>(nodes: readonly Node<Item>[]): DependencyTracker<Item> {
  const keys = new Set(nodes.map(({ id }) => keyOf(id)));
  const waitCounts = new Map<Node<Item>, number>();
  const followers = new Map<string, Node<Item>[]>();
  for (const node of nodes) {
    const awaited = [...new Set(node.after)].filter((key) => keys.has(key));
    waitCounts.set(node, awaited.length);
    for (const key of awaited) {
      const sameKey = followers.get(key);
      if (sameKey) sameKey.push(node);
      else followers.set(key, [node]);
    }
  }
  return {
    ready: nodes.filter((node) => waitCounts.get(node) === 0),
    complete: (done) =>
      done.flatMap(({ id }) =>
        (followers.get(keyOf(id)) ?? []).filter((node) => {
          const remaining = waitCounts.get(node)! - 1;
          waitCounts.set(node, remaining);
          return remaining === 0;
        }),
      ),
    blocked: () => nodes.filter((node) => waitCounts.get(node)! > 0),
  };
}

function nodesOf<Item>(
  items: readonly Item[],
  index: ReadonlyMap<string, ObjectId[]>,
  resolvedOf: (item: Item) => ResolvedObject,
): Node<Item>[] {
  return items.map((item) => {
    const { id, object } = resolvedOf(item);
    const after = referencesOf(object).flatMap((reference) => resolveReference(index, id, reference).map(keyOf));
    return { item, id, wave: waveOf(object) ?? 0, after };
  });
}

/** Returns the wave number; undefined for a text that is no whole number. */
function waveOf({ metadata }: KubeObject): number | undefined {
  const text = metadata.annotations?.[waveAnnotation]?.trim() ?? '0';
  const wave = /^[+-]?[0-9]{1,7}$/.test(text) ? Number(text) : Number.NaN;
  return Math.abs(wave) <= maxWave ? wave : undefined;
}

function referencesOf({ metadata }: KubeObject): string[] {
  const text = metadata.annotations?.[applyAfterAnnotation] ?? '';
  const references = text.split(',').map((reference) => reference.trim());
  return [...new Set(references)].filter((reference) => reference !== '');
}

/** Indexes objects by their keys, and by the short references that name them within their namespace. */
function indexOf(objects: readonly ResolvedObject[]): Map<string, ObjectId[]> {
  const index = new Map<string, ObjectId[]>();
  for (const { id } of objects) {
    for (const reference of [keyOf(id), shortKey(id.namespace, `${id.kind}/${id.name}`)]) {
      const sameReference = index.get(reference);
      if (sameReference) sameReference.push(id);
      else index.set(reference, [id]);
    }
  }
  return index;
}

/** Resolves a reference. A short one means an object in the namespace of `from`, or a cluster-scoped one. */
function resolveReference(index: ReadonlyMap<string, ObjectId[]>, from: ObjectId, reference: string): ObjectId[] {
  if (reference.split('/').length !== 2) return index.get(reference) ?? [];
  const namespaces = new Set(['', from.namespace]);
  return [...namespaces].flatMap((namespace) => index.get(shortKey(namespace, reference)) ?? []);
}

function shortKey(namespace: string, reference: string): string {
  return `${namespace} ${reference}`;
}

/** Returns the members of one cycle, each waiting for the next; empty when there is no cycle. */
function findCycle(nodes: readonly Node<unknown>[]): ObjectId[] {
  const tracker = trackDependencies(nodes);
  for (let ready = tracker.ready; ready.length > 0; ) ready = tracker.complete(ready);
  // Each blocked node waits for another blocked node, so following the references leads back to a visited one.
  const blocked = new Map(tracker.blocked().map((node) => [keyOf(node.id), node]));
  const path = new Map<string, ObjectId>();
  let [key] = blocked.keys();
  while (key !== undefined && !path.has(key)) {
    const { id, after }: Node<unknown> = blocked.get(key)!;
    path.set(key, id);
    key = after.find((next) => blocked.has(next));
  }
  const keys = [...path.keys()];
  return key === undefined ? [] : [...path.values()].slice(keys.indexOf(key));
}
