import type { Json, JsonObject, ManagedFields } from '../core/object.ts';
import { applyConflict, type StatusError } from '../core/status.ts';
import { formatPath, fromFieldsV1, toFieldsV1 } from './fields.ts';

/** One entry of `metadata.managedFields`, its fields as a set of paths. */
export interface Owner {
  readonly manager: string;
  readonly operation: 'Apply' | 'Update';
  readonly apiVersion: string;
  readonly subresource?: string;
  readonly time: string;
  readonly fields: ReadonlySet<string>;
}

export interface Changes {
  /** Paths that were added or have another value. */
  readonly set: ReadonlySet<string>;
  readonly removed: ReadonlySet<string>;
}

const parsed = new WeakMap<JsonObject, ReadonlySet<string>>();
const written = new WeakMap<ReadonlySet<string>, JsonObject>();

export function readOwners(entries: readonly ManagedFields[] | undefined): Owner[] {
  return (entries ?? []).map(({ fieldsV1, manager, operation, apiVersion, subresource, time }) => {
    let fields = parsed.get(fieldsV1);
    if (!fields) {
      fields = fromFieldsV1(fieldsV1);
      parsed.set(fieldsV1, fields);
      written.set(fields, fieldsV1);
    }
    return { manager, operation, apiVersion, subresource, time, fields };
  });
}

export function writeOwners(owners: readonly Owner[]): ManagedFields[] | undefined {
  const entries = owners
    .filter(({ fields }) => fields.size > 0)
    .map(({ manager, operation, apiVersion, subresource, time, fields }): ManagedFields => {
      const fieldsV1 = written.get(fields) ?? toFieldsV1(fields);
      const entry: ManagedFields = { manager, operation, apiVersion, time, fieldsType: 'FieldsV1', fieldsV1 };
      return subresource ? { ...entry, subresource } : entry;
    });
  return entries.length > 0 ? entries : undefined;
}

export function isSameOwner(left: Owner, right: Omit<Owner, 'time' | 'fields'>): boolean {
  return (
    left.manager === right.manager &&
    left.operation === right.operation &&
    left.subresource === right.subresource &&
    (left.operation === 'Apply' || left.apiVersion === right.apiVersion)
  );
}

export function compare(
  before: Map<string, Json>,
  after: Map<string, Json>,
  same: (a: Json, b: Json) => boolean,
): Changes {
  const set = new Set<string>();
  for (const [path, value] of after) if (!before.has(path) || !same(before.get(path), value)) set.add(path);
  const removed = new Set<string>();
  for (const path of before.keys()) if (!after.has(path)) removed.add(path);
  return { set, removed };
}

/** Removes from an owner the paths that somebody else changed or removed. */
export function withoutChangedFields(owner: Owner, changes: Changes): Owner {
  const left = new Set<string>();
  for (const path of owner.fields) if (!changes.set.has(path) && !changes.removed.has(path)) left.add(path);
  return left.size === owner.fields.size ? owner : { ...owner, fields: left };
}

/** Returns the conflict of an apply that would change fields of other owners, or undefined when there is none. */
export function findConflict(owners: readonly Owner[], changes: Changes): StatusError | undefined {
  const found: { owner: string; field: string }[] = [];
  for (const owner of owners)
    for (const path of owner.fields)
      if (changes.set.has(path)) found.push({ owner: showOwner(owner), field: formatPath(path) });
  if (found.length === 0) return undefined;
  const causes = found.map(({ owner, field }) => ({
    reason: 'FieldManagerConflict',
    message: `conflict with ${owner}`,
    field,
  }));
  return applyConflict(conflictMessage(found), causes);
}

function conflictMessage(found: { owner: string; field: string }[]): string {
  const [first] = found;
  if (found.length === 1) return `Apply failed with 1 conflict: conflict with ${first?.owner}: ${first?.field}`;
  const lines: string[] = [];
  for (const owner of [...new Set(found.map((candidate) => candidate.owner))].sort()) {
    lines.push(`conflicts with ${owner}:`);
    for (const candidate of found) if (candidate.owner === owner) lines.push(`- ${candidate.field}`);
  }
  return `Apply failed with ${found.length} conflicts: ${lines.join('\n')}`;
}

function showOwner({ manager, operation, subresource, apiVersion }: Owner): string {
  const name = JSON.stringify(manager) + (subresource ? ` with subresource ${JSON.stringify(subresource)}` : '');
  return operation === 'Update' ? `${name} using ${apiVersion}` : name;
}
