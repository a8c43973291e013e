import { at, keyOf, type ObjectId, textAt } from '../object/kube-object.ts';

/** One object of a stack. */
export interface Item {
  readonly id: ObjectId;
  /** Empty until the object was applied. */
  readonly uid: string;
}

/** What shard 0 says about the stack. */
export interface Header {
  /** Name, for people and for conflicts. */
  readonly stack: string;
  readonly generator: string;
  readonly epoch: bigint;
  readonly order: bigint;
  readonly generation: bigint;
  readonly deploymentId: string;
  /** The stack was removed; the rest is kept only until the broker knows, against answers from before. */
  readonly removed: boolean;
  readonly shards: number;
}

export interface StoredShard {
  readonly index: number;
  readonly resourceVersion: string;
  readonly header: Header | undefined;
  readonly items: readonly Item[];
}

/** A shard as it is to be written; without a resourceVersion it is to be made. */
export interface ShardPlan {
  readonly index: number;
  readonly resourceVersion: string | undefined;
  readonly header: Header | undefined;
  readonly items: readonly Item[];
}

/** Well below the 1 MiB that an object may have, its bookkeeping included. */
const shardBytes = 512 << 10;
const headerBytes = 2 << 10;

/**
 * Lays items out over shards: each stays where it is, new ones go where there is room. Answers only the shards that differ from
 * the stored ones, the header's first. Shards are never fewer than before, so that no write depends on a deletion.
 */
export function layOut(
  stored: readonly StoredShard[],
  header: Omit<Header, 'shards'>,
  items: Iterable<Item>,
): ShardPlan[] {
  const wanted = new Map([...items].map((item) => [keyOf(item.id), item]));
  const count = Math.max(1, ...stored.map(({ index }) => index + 1));
  const shards = Array.from({ length: count }, (_, index) => {
    const old = stored.find((shard) => shard.index === index);
    const kept = (old?.items ?? []).flatMap(({ id }) => take(wanted, keyOf(id)));
    return { index, old, items: kept, bytes: (index === 0 ? headerBytes : 0) + sizeOf(kept) };
  });
  for (const item of wanted.values()) {
    const bytes = sizeOf([item]);
    let shard = shards.find((candidate) => candidate.bytes + bytes <= shardBytes);
    if (!shard) {
      shard = { index: shards.length, old: undefined, items: [], bytes: 0 };
      shards.push(shard);
    }
    shard.items.push(item);
    shard.bytes += bytes;
  }
  const full: Header = { ...header, shards: shards.length };
  return shards.flatMap(({ index, old, items: own }) => {
    const ownHeader = index === 0 ? full : undefined;
    if (old && sameItems(old.items, own) && sameHeader(old.header, ownHeader)) return [];
    return [{ index, resourceVersion: old?.resourceVersion, header: ownHeader, items: own }];
  });
}

/** As one line of a shard. */
export function itemText({ id, uid }: Item): string {
  return JSON.stringify([id.apiVersion, id.kind, id.namespace, id.name, uid]);
}

/** Undefined for a line that is none. */
export function itemOf(line: string): Item | undefined {
  try {
    const fields: unknown = JSON.parse(line);
    if (!Array.isArray(fields) || fields.length !== 5 || !fields.every((field) => typeof field === 'string'))
      return undefined;
    const [apiVersion = '', kind = '', namespace = '', name = '', uid = ''] = fields as string[];
    return { id: { apiVersion, kind, namespace, name }, uid };
  } catch {
    return undefined;
  }
}

export function headerText({
  stack,
  generator,
  epoch,
  order,
  generation,
  deploymentId,
  removed,
  shards,
}: Header): string {
  const numbers = { epoch: String(epoch), order: String(order), generation: String(generation) };
  return JSON.stringify({ stack, generator, ...numbers, deploymentId, removed, shards });
}

/** Undefined for a text that is no header. */
export function headerOf(text: string): Header | undefined {
  try {
    const value: unknown = JSON.parse(text);
    const field = (name: string) => textAt(value, name) ?? '';
    const shards = at(value, 'shards');
    if (typeof shards !== 'number' || !Number.isInteger(shards) || shards < 1) return undefined;
    return {
      stack: field('stack'),
      generator: field('generator'),
      epoch: BigInt(field('epoch')),
      order: BigInt(field('order')),
      generation: BigInt(field('generation')),
      deploymentId: field('deploymentId'),
      removed: at(value, 'removed') === true,
      shards,
    };
  } catch {
    return undefined;
  }
}

function take(wanted: Map<string, Item>, key: string): Item[] {
  const item = wanted.get(key);
  wanted.delete(key);
  return item ? [item] : [];
}

function sizeOf(items: readonly Item[]): number {
  return items.reduce((sum, item) => sum + Buffer.byteLength(JSON.stringify(itemText(item))) + 2, 0);
}

function sameItems(left: readonly Item[], right: readonly Item[]): boolean {
  return left.length === right.length && left.every((item, index) => itemText(item) === itemText(right[index]!));
}

function sameHeader(left: Header | undefined, right: Header | undefined): boolean {
  return (left && headerText(left)) === (right && headerText(right));
}
