import { isRawInteger, isSameScalar, parseExact } from '../../contract/exact-json.ts';
import { keyOf } from '../../contract/object-key.ts';
import { identity, isRecord, type ManifestObject, type ObjectIdentity } from './object.ts';
import { createYield } from './yield.ts';

export interface DeploymentRow {
  readonly id: string;
  readonly stackId: string;
  readonly stack: string;
  readonly revision: number;
  readonly checksum: Buffer;
  readonly size: number;
  readonly objectCount: number;
  /** The default namespace of its objects; empty for none. */
  readonly namespace: string;
  readonly message: string;
  readonly createdBy: string;
  readonly rollbackOf: number | null;
  /** The W3C `traceparent` of the submission; empty for none. */
  readonly traceParent: string;
  readonly createdAt: Date;
  readonly isCurrent: boolean;
}

/** The change of one object from one manifest to another. */
export interface Difference {
  readonly object: ObjectIdentity;
  readonly action: 'created' | 'configured' | 'deleted';
  /** Paths that differ, such as ".spec.replicas"; at most 50. */
  readonly fields: readonly string[];
}

const maxFields = 50;
/** A key may be as long as an object, and an answer holds the paths of thousands. */
const maxPathLength = 250;

/**
 * Compares two manifests in canonical form (one object as JSON per line) and returns the changed objects. Only lines that differ are
 * parsed, as most are equal, and other calls run in between.
 */
export async function compareManifests(before: Uint8Array, after: Uint8Array): Promise<Difference[]> {
  const yieldIfDue = createYield();
  const oldLines = new Set(linesOf(before));
  await yieldIfDue();
  const newLines = new Set(linesOf(after));
  await yieldIfDue();
  const oldObjects = new Map<string, ManifestObject>();
  for (const line of oldLines) {
    if (newLines.has(line)) continue;
    const object = parseExact(line) as ManifestObject;
    oldObjects.set(keyOf(identity(object)), object);
    await yieldIfDue();
  }
  const differences: Difference[] = [];
  for (const line of newLines) {
    if (oldLines.has(line)) continue;
    const object = parseExact(line) as ManifestObject;
    const key = keyOf(identity(object));
    const earlier = oldObjects.get(key);
    oldObjects.delete(key);
    const difference = differenceOf(earlier, object);
    if (difference) differences.push(difference);
    await yieldIfDue();
  }
  for (const object of oldObjects.values())
    differences.push({ object: identity(object), action: 'deleted', fields: [] });
  return differences;
}

/** Returns undefined for objects that differ only in the order of keys, which an older release may have stored. */
function differenceOf(before: ManifestObject | undefined, after: ManifestObject): Difference | undefined {
  if (!before) return { object: identity(after), action: 'created', fields: [] };
  const fields: string[] = [];
  findDifferences(before, after, '', fields);
  return fields.length > 0 ? { object: identity(after), action: 'configured', fields } : undefined;
}

/** Adds the paths of differing values to `fields`, until there are enough. */
function findDifferences(before: unknown, after: unknown, path: string, fields: string[]): void {
  if (isSameScalar(before, after)) return;
  if (Array.isArray(before) && Array.isArray(after) && before.length === after.length) {
    for (const [index, item] of before.entries()) {
      if (fields.length >= maxFields) return;
      findDifferences(item, after[index], `${path}[${index}]`, fields);
    }
  } else if (isRecord(before) && isRecord(after) && !isRawInteger(before) && !isRawInteger(after)) {
    for (const key of new Set([...Object.keys(before), ...Object.keys(after)].sort())) {
      if (fields.length >= maxFields) return;
      findDifferences(ownValue(before, key), ownValue(after, key), `${path}.${key}`, fields);
    }
  } else {
    fields.push(path.length > maxPathLength ? `${path.slice(0, maxPathLength)}…` : path || '.');
  }
}

/** Reads only own properties: a manifest may have a key such as `__proto__`. */
function ownValue(map: Record<string, unknown>, key: string): unknown {
  return Object.hasOwn(map, key) ? map[key] : undefined;
}

/** Reads the identities of a manifest's objects from its canonical form; other calls run in between. */
export async function identitiesOf(manifest: Uint8Array): Promise<ObjectIdentity[]> {
  const yieldIfDue = createYield();
  const identities: ObjectIdentity[] = [];
  for (const line of linesOf(manifest)) {
    identities.push(identity(parseExact(line) as ManifestObject));
    await yieldIfDue();
  }
  return identities;
}

/** Splits a manifest in canonical form into the JSON texts of its objects. */
export function linesOf({ buffer, byteOffset, byteLength }: Uint8Array): string[] {
  const text = Buffer.from(buffer, byteOffset, byteLength).toString();
  return text.split('\n').filter((line) => line !== '');
}
