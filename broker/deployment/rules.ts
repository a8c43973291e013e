import { isRawInteger, parseExact } from '../../contract/exact-json.ts';
import { keyOf } from '../../contract/object-key.ts';
import { identity, isRecord, type ManifestObject, type ObjectIdentity } from './object.ts';
import { takeTurns } from './turns.ts';

export interface DeploymentRow {
  readonly id: string;
  readonly stack_id: string;
  readonly stack: string;
  readonly revision: number;
  readonly checksum: Buffer;
  readonly size: number;
  readonly object_count: number;
  readonly message: string;
  readonly created_by: string;
  readonly rollback_of: number | null;
  /** A `traceparent`; empty for one that was submitted in no trace. */
  readonly trace_parent: string;
  readonly created_at: Date;
  readonly current: boolean;
}

export interface Difference {
  readonly object: ObjectIdentity;
  readonly action: 'created' | 'configured' | 'deleted';
  /** Paths that differ, such as ".spec.replicas"; at most 50. */
  readonly fields: readonly string[];
}

const maxFields = 50;
/** Keys may be as long as an object; an answer has to hold the paths of thousands. */
const maxPath = 250;

/**
 * What changes from one revision's objects to another's, both in canonical form (one object as JSON a line); unchanged objects are
 * left out. Only lines that differ are read, as most are equal, and it takes turns with other calls.
 */
export async function compareManifests(before: Uint8Array, after: Uint8Array): Promise<Difference[]> {
  const turn = takeTurns();
  const oldLines = new Set(linesOf(before));
  await turn();
  const newLines = new Set(linesOf(after));
  await turn();
  const old = new Map<string, ManifestObject>();
  for (const line of oldLines) {
    if (newLines.has(line)) continue;
    const object = parseExact(line) as ManifestObject;
    old.set(keyOf(identity(object)), object);
    await turn();
  }
  const differences: Difference[] = [];
  for (const line of newLines) {
    if (oldLines.has(line)) continue;
    const object = parseExact(line) as ManifestObject;
    const key = keyOf(identity(object));
    const earlier = old.get(key);
    old.delete(key);
    const difference = differenceOf(earlier, object);
    if (difference) differences.push(difference);
    await turn();
  }
  for (const object of old.values()) differences.push({ object: identity(object), action: 'deleted', fields: [] });
  return differences;
}

/** Undefined for objects that differ in nothing but the order of keys, which an older release may have kept. */
function differenceOf(before: ManifestObject | undefined, after: ManifestObject): Difference | undefined {
  if (!before) return { object: identity(after), action: 'created', fields: [] };
  const fields: string[] = [];
  findDifferences(before, after, '', fields);
  return fields.length > 0 ? { object: identity(after), action: 'configured', fields } : undefined;
}

/** Adds the paths of what differs to `found`, until there are enough: each value is looked at once. */
function findDifferences(before: unknown, after: unknown, path: string, found: string[]): void {
  if (Object.is(before, after)) return;
  if (isRawInteger(before) && isRawInteger(after) && before.rawJSON === after.rawJSON) return;
  if (Array.isArray(before) && Array.isArray(after) && before.length === after.length) {
    for (const [index, item] of before.entries()) {
      if (found.length >= maxFields) return;
      findDifferences(item, after[index], `${path}[${index}]`, found);
    }
  } else if (isRecord(before) && isRecord(after) && !isRawInteger(before) && !isRawInteger(after)) {
    for (const key of new Set([...Object.keys(before), ...Object.keys(after)].sort())) {
      if (found.length >= maxFields) return;
      findDifferences(own(before, key), own(after, key), `${path}.${key}`, found);
    }
  } else {
    found.push(path.length > maxPath ? `${path.slice(0, maxPath)}…` : path || '.');
  }
}

/** A manifest may have a key such as `__proto__`, which every object would have a value for. */
function own(map: Record<string, unknown>, key: string): unknown {
  return Object.hasOwn(map, key) ? map[key] : undefined;
}

/** The objects of a manifest in canonical form, in turns with other calls. */
export async function identitiesOf(manifest: Uint8Array): Promise<ObjectIdentity[]> {
  const turn = takeTurns();
  const identities: ObjectIdentity[] = [];
  for (const line of linesOf(manifest)) {
    identities.push(identity(parseExact(line) as ManifestObject));
    await turn();
  }
  return identities;
}

/** Each object of a manifest in canonical form, as JSON. */
export function linesOf({ buffer, byteOffset, byteLength }: Uint8Array): string[] {
  const text = Buffer.from(buffer, byteOffset, byteLength).toString();
  return text.split('\n').filter((line) => line !== '');
}
