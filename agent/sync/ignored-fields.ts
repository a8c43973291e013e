import type { IgnoredFields } from '../../contract/target-state.ts';
import { isOwnApply, isRecord, type KubeObject, kindName, type ObjectId } from '../object/kube-object.ts';
import { fieldOf, fieldsOfItem } from '../object/managed-fields.ts';
import type { Desired } from './plan.ts';

/**
 * The desired object without those ignored fields that somebody else has set: what is left out of an apply stays as it is, and theirs.
 * A field that this agent still owns stays in: left out, it would be removed. So does one that nobody has set, unless the deployment
 * was applied before, and somebody removed it since.
 */
export function withoutIgnored(
  wanted: Desired,
  live: KubeObject | undefined,
  ignored: readonly IgnoredFields[],
  appliedBefore: boolean,
): Desired {
  if (!live || ignored.length === 0) return wanted;
  const paths = ignored.filter((rule) => covers(rule, wanted.id)).flatMap((rule) => rule.paths);
  if (paths.length === 0) return wanted;
  const owned = live.metadata.managedFields?.find(isOwnApply)?.fieldsV1;
  let object: unknown = wanted.object;
  for (const path of paths) object = trimAt(object, live, owned, path.split('.').slice(1), appliedBefore);
  return object === wanted.object ? wanted : { ...wanted, object: object as KubeObject };
}

function covers({ kind, name }: IgnoredFields, id: ObjectId): boolean {
  return (kind === '' || kind === kindName(id)) && (name === '' || name === id.name);
}

/** Follows a path of names; lists on the way are gone through. */
function trimAt(value: unknown, live: unknown, owned: unknown, path: readonly string[], removed: boolean): unknown {
  const [name, ...rest] = path;
  if (name === undefined) return trim(value, live, owned, removed);
  if (!isRecord(value) || !(name in value)) return value;
  const inner = trimAt(value[name], isRecord(live) ? live[name] : undefined, fieldOf(owned, name), rest, removed);
  return replaced(value, name, inner);
}

/** What is left of a value when the fields that somebody else has set are taken out; undefined for nothing. */
function trim(value: unknown, live: unknown, owned: unknown, removed: boolean): unknown {
  if (live === undefined) return owned === undefined && removed ? undefined : value;
  if (owned === undefined) return undefined;
  if (isRecord(owned) && Object.keys(owned).length === 0) return value;
  if (Array.isArray(value)) {
    const kept = value.map((item) => trim(item, liveItem(live, owned, item), fieldsOfItem(owned, item), removed));
    return kept.every((item, index) => item === value[index]) ? value : kept.filter((item) => item !== undefined);
  }
  if (!isRecord(value)) return value;
  let result: Readonly<Record<string, unknown>> = value;
  for (const name of Object.keys(value)) {
    const inner = trim(value[name], isRecord(live) ? live[name] : undefined, fieldOf(owned, name), removed);
    result = replaced(result, name, inner);
  }
  return result;
}

/** The live item that has the same keys as the desired one. */
function liveItem(live: unknown, owned: unknown, item: unknown): unknown {
  if (!Array.isArray(live)) return undefined;
  const fields = fieldsOfItem(owned, item);
  return fields === undefined
    ? live.find((one) => isRecord(one) && isRecord(item) && one.name === item.name)
    : live.find((one) => fieldsOfItem(owned, one) === fields);
}

function replaced(
  value: Readonly<Record<string, unknown>>,
  name: string,
  inner: unknown,
): Readonly<Record<string, unknown>> {
  if (inner === value[name]) return value;
  const { [name]: _, ...rest } = value;
  return inner === undefined ? rest : { ...rest, [name]: inner };
}
