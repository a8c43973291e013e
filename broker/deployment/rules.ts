import type { ManifestObject, ObjectIdentity } from './object.ts';

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
 * left out. Only lines that differ are read, as most are equal, and a submission must not hold up other calls.
 */
export function compareManifests(before: Uint8Array, after: Uint8Array): Difference[] {
  const [oldLines, newLines] = [linesOf(before), linesOf(after)];
  const changed = (lines: ReadonlySet<string>, others: ReadonlySet<string>) =>
    [...lines].filter((line) => !others.has(line)).map((line) => JSON.parse(line) as ManifestObject);
  return compareObjects(changed(oldLines, newLines), changed(newLines, oldLines));
}

function compareObjects(before: readonly ManifestObject[], after: readonly ManifestObject[]): Difference[] {
  const old = new Map(before.map((object) => [keyOf(object), object]));
  const differences: Difference[] = [];
  for (const object of after) {
    const earlier = old.get(keyOf(object));
    old.delete(keyOf(object));
    if (!earlier) {
      differences.push({ object: identityOf(object), action: 'created', fields: [] });
      continue;
    }
    const fields: string[] = [];
    findDifferences(earlier, object, '', fields);
    if (fields.length > 0) differences.push({ object: identityOf(object), action: 'configured', fields });
  }
  for (const object of old.values()) differences.push({ object: identityOf(object), action: 'deleted', fields: [] });
  return differences;
}

/** Adds the paths of what differs to `found`, until there are enough: each value is looked at once. */
function findDifferences(before: unknown, after: unknown, path: string, found: string[]): void {
  if (found.length >= maxFields || Object.is(before, after)) return;
  if (Array.isArray(before) && Array.isArray(after) && before.length === after.length) {
    for (const [index, item] of before.entries()) findDifferences(item, after[index], `${path}[${index}]`, found);
  } else if (isMap(before) && isMap(after)) {
    for (const key of new Set([...Object.keys(before), ...Object.keys(after)].sort()))
      findDifferences(own(before, key), own(after, key), `${path}.${key}`, found);
  } else {
    found.push(path.length > maxPath ? `${path.slice(0, maxPath)}…` : path || '.');
  }
}

/** A manifest may have a key such as `__proto__`, which every object would have a value for. */
function own(map: Record<string, unknown>, key: string): unknown {
  return Object.hasOwn(map, key) ? map[key] : undefined;
}

function linesOf(data: Uint8Array): Set<string> {
  return new Set(
    Buffer.from(data.buffer, data.byteOffset, data.byteLength)
      .toString()
      .split('\n')
      .filter((line) => line !== ''),
  );
}

function keyOf(object: ManifestObject): string {
  return JSON.stringify([object.apiVersion, object.kind, object.metadata.namespace ?? '', object.metadata.name]);
}

function identityOf(object: ManifestObject): ObjectIdentity {
  return {
    apiVersion: object.apiVersion,
    kind: object.kind,
    namespace: object.metadata.namespace ?? '',
    name: object.metadata.name,
  };
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
