import { keyOf, type ObjectId, textAt, valueAt } from '../object/kube-object.ts';
import type { Run } from '../object/run.ts';

/** One object of an inventory. */
export interface InventoryItem {
  readonly id: ObjectId;
  /** Uid of the applied object; empty until it was applied. */
  readonly uid: string;
  /** Its run, for an object that runs to an end: it may be gone by itself. */
  readonly run?: Run | undefined;
}

/** The record about the stack itself, in shard 0. */
export interface InventoryHeader {
  /** Name of the stack, for messages. */
  readonly stack: string;
  readonly generator: string;
  readonly epoch: bigint;
  readonly order: bigint;
  readonly generation: bigint;
  readonly deploymentId: string;
  /** True once the stack was removed. The header stays until the broker no longer lists the stack, to reject outdated entries. */
  readonly removed: boolean;
  /** Number of shards of the inventory. */
  readonly shards: number;
}

/** A shard as it is stored. */
export interface StoredShard {
  readonly index: number;
  readonly resourceVersion: string;
  readonly header: InventoryHeader | undefined;
  readonly items: readonly InventoryItem[];
}

/** A shard to be written: created when it has no resourceVersion, replaced otherwise. */
export interface ShardPlan {
  readonly index: number;
  readonly resourceVersion: string | undefined;
  readonly header: InventoryHeader | undefined;
  readonly items: readonly InventoryItem[];
}

/** Well below the 1 MiB that an object may have, including managed fields. */
const shardBytes = 512 << 10;
const headerBytes = 2 << 10;

/**
 * Distributes items over shards: known items stay where they are, and new ones go where there is room. Returns the shards that
 * differ from the stored ones, the header's first. The number of shards never falls, so that no write depends on a deletion.
 */
export function planShards(
  stored: readonly StoredShard[],
  header: Omit<InventoryHeader, 'shards'>,
  items: Iterable<InventoryItem>,
): ShardPlan[] {
  const unplaced = new Map([...items].map((item) => [keyOf(item.id), item]));
  const count = Math.max(1, ...stored.map(({ index }) => index + 1));
  const shards = Array.from({ length: count }, (_, index) => {
    const before = stored.find((shard) => shard.index === index);
    const kept = (before?.items ?? []).flatMap(({ id }) => takeItem(unplaced, keyOf(id)));
    return { index, before, items: kept, bytes: (index === 0 ? headerBytes : 0) + sizeOf(kept) };
  });
  for (const item of unplaced.values()) {
    const bytes = sizeOf([item]);
    let shard = shards.find((candidate) => candidate.bytes + bytes <= shardBytes);
    if (!shard) {
      shard = { index: shards.length, before: undefined, items: [], bytes: 0 };
      shards.push(shard);
    }
    shard.items.push(item);
    shard.bytes += bytes;
  }
  const completeHeader: InventoryHeader = { ...header, shards: shards.length };
  return shards.flatMap(({ index, before, items: own }) => {
    const ownHeader = index === 0 ? completeHeader : undefined;
    if (before && sameItems(before.items, own) && sameHeader(before.header, ownHeader)) return [];
    return [{ index, resourceVersion: before?.resourceVersion, header: ownHeader, items: own }];
  });
}

/** Formats an item as one line of a shard. */
export function itemText({ id, uid }: InventoryItem): string {
  return JSON.stringify([id.apiVersion, id.kind, id.namespace, id.name, uid]);
}

/** Parses a line of a shard; undefined for a line that is no item. */
export function itemOf(line: string): InventoryItem | undefined {
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

/** Formats the run of an item as one line; undefined for an item without one. An agent that knows no runs ignores these lines. */
export function runText({ id, run }: InventoryItem): string | undefined {
  return run && JSON.stringify([keyOf(id), run.uid, run.checksum, run.outcome, run.expires ? 'expires' : '']);
}

/** Parses the runs among the lines, by the key of their item; lines that are none are left out. */
export function runsIn(lines: readonly string[]): Map<string, Run> {
  return new Map(lines.flatMap((line) => parseRun(line)));
}

const outcomes: readonly string[] = ['begun', 'succeeded', 'failed', 'cut off'] satisfies Run['outcome'][];

function parseRun(line: string): [string, Run][] {
  try {
    const fields: unknown = JSON.parse(line);
    if (!Array.isArray(fields) || !fields.every((field) => typeof field === 'string')) return [];
    const [key = '', uid = '', checksum = '', outcome = '', expires = ''] = fields as string[];
    if (!outcomes.includes(outcome)) return [];
    return [[key, { uid, checksum, outcome: outcome as Run['outcome'], expires: expires === 'expires' }]];
  } catch {
    return [];
  }
}

/** Formats a header as JSON. */
export function headerText({
  stack,
  generator,
  epoch,
  order,
  generation,
  deploymentId,
  removed,
  shards,
}: InventoryHeader): string {
  const numbers = { epoch: String(epoch), order: String(order), generation: String(generation) };
  return JSON.stringify({ stack, generator, ...numbers, deploymentId, removed, shards });
}

/** Parses a header; undefined for a text that is none. */
export function headerOf(text: string): InventoryHeader | undefined {
  try {
    const value: unknown = JSON.parse(text);
    const field = (name: string) => textAt(value, name) ?? '';
    const shards = valueAt(value, 'shards');
    if (typeof shards !== 'number' || !Number.isInteger(shards) || shards < 1) return undefined;
    return {
      stack: field('stack'),
      generator: field('generator'),
      epoch: BigInt(field('epoch')),
      order: BigInt(field('order')),
      generation: BigInt(field('generation')),
      deploymentId: field('deploymentId'),
      removed: valueAt(value, 'removed') === true,
      shards,
    };
  } catch {
    return undefined;
  }
}

/** Removes an item from the map and returns it in a list; an empty list when it is not there. */
function takeItem(unplaced: Map<string, InventoryItem>, key: string): InventoryItem[] {
  const item = unplaced.get(key);
  unplaced.delete(key);
  return item ? [item] : [];
}

function sizeOf(items: readonly InventoryItem[]): number {
  const lines = items.flatMap((item) => [itemText(item), runText(item) ?? []].flat());
  return lines.reduce((sum, line) => sum + Buffer.byteLength(JSON.stringify(line)) + 2, 0);
}

function sameItems(left: readonly InventoryItem[], right: readonly InventoryItem[]): boolean {
  const isSame = (item: InventoryItem, other: InventoryItem) =>
    itemText(item) === itemText(other) && runText(item) === runText(other);
  return left.length === right.length && left.every((item, index) => isSame(item, right[index]!));
}

function sameHeader(left: InventoryHeader | undefined, right: InventoryHeader | undefined): boolean {
  return (left && headerText(left)) === (right && headerText(right));
}
