import { type KubeObject, keyOf, nameOf, type ObjectId } from '../object/kube-object.ts';
import type { Change } from '../target/stack-event.ts';
import { groupByRank, rankOf } from './kind-order.ts';

/** Objects of one number, which are applied before those of a higher one, once all of a lower one are healthy. */
export interface Wave<Item> {
  readonly number: number;
  /** To apply one after another; within one, the order does not matter. */
  readonly groups: readonly (readonly Item[])[];
}

/** Annotation of an object: an integer, 0 when missing. */
export const waveAnnotation = 'k8s.brokkr.io/wave';
/** Annotation of an object: others of its stack that are applied before it, as `Kind/name` or `group/Kind/namespace/name`, separated by commas. */
const applyAfterAnnotation = 'k8s.brokkr.io/apply-after';

interface Placed {
  readonly id: ObjectId;
  readonly object: KubeObject;
}

interface Node<Item> {
  readonly item: Item;
  readonly id: ObjectId;
  readonly wave: number;
  readonly after: readonly string[];
}

const maxWave = 1_000_000;
/** Of one object; an object that comes after more is better in a later wave. */
const maxReferences = 100;

/** What is wrong with the objects' own words about their order: an unknown object, a number that is none, a cycle. */
export function faultsInOrder(objects: readonly Placed[]): Change[] {
  const index = indexOf(objects);
  const fault = (object: ObjectId, message: string): Change => ({ object, action: 'failed', message });
  const waves = new Map(objects.map(({ id, object }) => [keyOf(id), waveOf(object)]));
  const faults = objects.flatMap(({ id, object }) => {
    const wave = waveOf(object);
    if (wave === undefined) return [fault(id, `its ${waveAnnotation} is not a whole number`)];
    const references = referencesOf(object);
    if (references.length > maxReferences)
      return [fault(id, `is to be applied after ${references.length} objects, more than ${maxReferences}`)];
    return references.flatMap((text) => {
      const found = resolve(index, id, text);
      if (found.length === 0) return [fault(id, `is to be applied after ${text}, which this stack does not have`)];
      if (found.length > 1) return [fault(id, `is to be applied after ${text}, which names ${found.length} objects`)];
      const other = waves.get(keyOf(found[0]!)) ?? 0;
      if (other <= wave) return [];
      return [fault(id, `is in wave ${wave}, and to be applied after ${nameOf(found[0]!)} of the later wave ${other}`)];
    });
  });
  if (faults.length > 0) return faults;
  const cycle = findCycle(nodesOf(objects, index, (placed) => placed));
  const [first] = cycle;
  if (!first) return [];
  return [fault(first, `each is to be applied after the next: ${[...cycle, first].map(nameOf).join(', ')}`)];
}

/**
 * Sorts into waves, and within each by what is to be applied after what and then by kind. References that lead nowhere are left out,
 * and cycles are cut: `faultsInOrder` tells of them.
 */
export function wavesOf<Item>(items: readonly Item[], placedOf: (item: Item) => Placed): Wave<Item>[] {
  const nodes = nodesOf(items, indexOf(items.map(placedOf)), placedOf);
  const byWave = Map.groupBy(nodes, ({ wave }) => wave);
  return [...byWave]
    .sort(([left], [right]) => left - right)
    .map(([number, members]) => ({ number, groups: groupsOf(members).map((group) => group.map(({ item }) => item)) }));
}

/** Always the kinds that come first among those whose turn it is: what an object waits for moves it, and nothing else. */
function groupsOf<Item>(nodes: readonly Node<Item>[]): Node<Item>[][] {
  const groups: Node<Item>[][] = [];
  const turns = turnsOf(nodes);
  const waiting = new Map<number, Node<Item>[]>();
  const admit = (free: readonly Node<Item>[]) => {
    for (const node of free) {
      const rank = rankOf(node.id);
      const equals = waiting.get(rank);
      if (equals) equals.push(node);
      else waiting.set(rank, [node]);
    }
  };
  admit(turns.first);
  while (waiting.size > 0) {
    const rank = Math.min(...waiting.keys());
    const group = waiting.get(rank)!;
    waiting.delete(rank);
    groups.push(group);
    admit(turns.after(group));
  }
  // What is in a cycle, or waits for one.
  return [...groups, ...groupByRank(turns.stuck(), ({ id }) => id)];
}

interface Turns<Item> {
  /** Those that wait for nothing here. */
  readonly first: readonly Node<Item>[];
  /** Those that need not wait any longer once these are done as well. Each node may be done once. */
  after(done: readonly Node<Item>[]): Node<Item>[];
  /** Those whose turn has not come. */
  stuck(): Node<Item>[];
}

/** Counts for each node what it still waits for, so that all turns together take no longer than there are nodes and references. */
function turnsOf<Item>(nodes: readonly Node<Item>[]): Turns<Item> {
  const keys = new Set(nodes.map(({ id }) => keyOf(id)));
  const counts = new Map<Node<Item>, number>();
  const followers = new Map<string, Node<Item>[]>();
  for (const node of nodes) {
    const awaited = [...new Set(node.after)].filter((key) => keys.has(key));
    counts.set(node, awaited.length);
    for (const key of awaited) {
      const others = followers.get(key);
      if (others) others.push(node);
      else followers.set(key, [node]);
    }
  }
  return {
    first: nodes.filter((node) => counts.get(node) === 0),
    after: (done) =>
      done.flatMap(({ id }) =>
        (followers.get(keyOf(id)) ?? []).filter((node) => {
          const left = counts.get(node)! - 1;
          counts.set(node, left);
          return left === 0;
        }),
      ),
    stuck: () => nodes.filter((node) => counts.get(node)! > 0),
  };
}

function nodesOf<Item>(
  items: readonly Item[],
  index: ReadonlyMap<string, ObjectId[]>,
  placedOf: (item: Item) => Placed,
): Node<Item>[] {
  return items.map((item) => {
    const { id, object } = placedOf(item);
    const after = referencesOf(object).flatMap((text) => resolve(index, id, text).map(keyOf));
    return { item, id, wave: waveOf(object) ?? 0, after };
  });
}

/** Undefined for a text that is no whole number. */
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

/** The objects by each text that may name them: in full, and in short from beside them. */
function indexOf(objects: readonly Placed[]): Map<string, ObjectId[]> {
  const index = new Map<string, ObjectId[]>();
  for (const { id } of objects) {
    for (const text of [keyOf(id), nearby(id.namespace, `${id.kind}/${id.name}`)]) {
      const named = index.get(text);
      if (named) named.push(id);
      else index.set(text, [id]);
    }
  }
  return index;
}

/** A short reference means an object beside the one that has it, or a cluster-scoped one. */
function resolve(index: ReadonlyMap<string, ObjectId[]>, from: ObjectId, reference: string): ObjectId[] {
  if (reference.split('/').length !== 2) return index.get(reference) ?? [];
  const places = new Set(['', from.namespace]);
  return [...places].flatMap((namespace) => index.get(nearby(namespace, reference)) ?? []);
}

function nearby(namespace: string, reference: string): string {
  return `${namespace} ${reference}`;
}

/** The members of one cycle, each waiting for the next; none when there is no cycle. */
function findCycle(nodes: readonly Node<unknown>[]): ObjectId[] {
  const turns = turnsOf(nodes);
  for (let free = turns.first; free.length > 0; ) free = turns.after(free);
  // Each of these waits for another one of them: whoever goes on from one to the next comes back.
  const stuck = new Map(turns.stuck().map((node) => [keyOf(node.id), node]));
  const path = new Map<string, ObjectId>();
  let [key] = stuck.keys();
  while (key !== undefined && !path.has(key)) {
    const { id, after }: Node<unknown> = stuck.get(key)!;
    path.set(key, id);
    key = after.find((next) => stuck.has(next));
  }
  const keys = [...path.keys()];
  return key === undefined ? [] : [...path.values()].slice(keys.indexOf(key));
}
