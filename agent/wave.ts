import type { Change } from './event.ts';
import { groupOf, type KubeObject, keyOf, nameOf, type ObjectId } from './object.ts';
import { groupByRank } from './order.ts';

/** Objects of one number, which are applied before those of a higher one, once all of a lower one are healthy. */
export interface Wave<Item> {
  readonly number: number;
  /** To apply one after another; within one, the order does not matter. */
  readonly groups: readonly (readonly Item[])[];
}

/** Annotation of an object: an integer, 0 when missing. */
export const waveAnnotation = 'k8s.brokkr.io/wave';
/** Annotation of an object: others of its stack that are applied before it, as `Kind/name` or `group/Kind/namespace/name`, separated by commas. */
export const applyAfterAnnotation = 'k8s.brokkr.io/apply-after';

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

/** What is wrong with the objects' own words about their order: an unknown object, a number that is none, a cycle. */
export function faultsInOrder(objects: readonly Placed[]): Change[] {
  const index = indexOf(objects);
  const fault = (object: ObjectId, message: string): Change => ({ object, action: 'failed', message });
  const waves = new Map(objects.map(({ id, object }) => [keyOf(id), waveOf(object)]));
  const faults = objects.flatMap(({ id, object }) => {
    const wave = waveOf(object);
    if (wave === undefined) return [fault(id, `its ${waveAnnotation} is not a whole number`)];
    return referencesOf(object).flatMap((text) => {
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
  let left = [...nodes];
  while (left.length > 0) {
    const pending = new Set(left.map(({ id }) => keyOf(id)));
    const free = left.filter(({ after }) => !after.some((key) => pending.has(key)));
    const [group = left] = groupByRank(free.length > 0 ? free : left, ({ id }) => id);
    groups.push(group);
    const done = new Set(group);
    left = left.filter((node) => !done.has(node));
  }
  return groups;
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
  return text
    .split(',')
    .map((reference) => reference.trim())
    .filter((reference) => reference !== '');
}

function indexOf(objects: readonly Placed[]): Map<string, ObjectId[]> {
  return Map.groupBy(
    objects.map(({ id }) => id),
    ({ kind, name }) => `${kind}/${name}`,
  );
}

/** A short reference means an object beside the one that has it, or a cluster-scoped one. */
function resolve(index: ReadonlyMap<string, ObjectId[]>, from: ObjectId, reference: string): ObjectId[] {
  const parts = reference.split('/');
  if (parts.length === 2) {
    const near = index.get(reference) ?? [];
    return near.filter(({ namespace }) => namespace === '' || namespace === from.namespace);
  }
  const [group, kind, namespace, name] = parts;
  if (parts.length !== 4) return [];
  const named = index.get(`${kind}/${name}`) ?? [];
  return named.filter((id) => groupOf(id.apiVersion) === group && id.namespace === namespace);
}

/** The members of one cycle, each waiting for the next; none when there is no cycle. */
function findCycle(nodes: readonly Node<unknown>[]): ObjectId[] {
  const byKey = new Map(nodes.map((node) => [keyOf(node.id), node]));
  // What waits for nothing, or only for what does not, is in no cycle.
  for (let found = true; found; ) {
    const free = [...byKey].filter(([, { after }]) => !after.some((key) => byKey.has(key)));
    for (const [key] of free) byKey.delete(key);
    found = free.length > 0;
  }
  const [start] = byKey.keys();
  const path: string[] = [];
  for (let key = start; key !== undefined; key = byKey.get(key)?.after.find((next) => byKey.has(next))) {
    if (path.includes(key)) return path.slice(path.indexOf(key)).map((member) => byKey.get(member)!.id);
    path.push(key);
  }
  return [];
}
