import type { IgnoredFields } from '../../contract/target-state.ts';
import type { DesiredObject } from '../object/desired-object.ts';
import { isOwnApply, isRecord, type KubeObject, kindName, type ObjectId } from '../object/kube-object.ts';
import { fieldOf, fieldsOfItem } from '../object/managed-fields.ts';

/**
 * Returns the desired object without the ignored fields that somebody else has set, so that the apply leaves them to their owner. A
 * field that this agent owns stays, because the apply would remove it otherwise. A field that nobody has set stays too, unless
 * `appliedBefore` says that somebody removed it since the deployment was applied.
 */
export function withoutIgnored(
  wanted: DesiredObject,
  live: KubeObject | undefined,
  ignored: readonly IgnoredFields[],
  appliedBefore: boolean,
): DesiredObject {
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

/** Trims the value at a path of names. */
function trimAt(
  value: unknown,
  live: unknown,
  owned: unknown,
  path: readonly string[],
  appliedBefore: boolean,
): unknown {
  const [name, ...rest] = path;
  if (name === undefined) return trim(value, live, owned, appliedBefore);
  if (!isRecord(value) || !(name in value)) return value;
  const inner = trimAt(value[name], isRecord(live) ? live[name] : undefined, fieldOf(owned, name), rest, appliedBefore);
  return withField(value, name, inner);
}

/** Returns the value without the fields that somebody else has set; undefined when nothing is left. */
function trim(value: unknown, live: unknown, owned: unknown, appliedBefore: boolean): unknown {
  if (live === undefined) return owned === undefined && appliedBefore ? undefined : value;
  if (owned === undefined) return undefined;
  if (isRecord(owned) && Object.keys(owned).length === 0) return value;
  if (Array.isArray(value)) {
    const kept = value.map((item) => trim(item, liveItem(live, owned, item), fieldsOfItem(owned, item), appliedBefore));
    return kept.every((item, index) => item === value[index]) ? value : kept.filter((item) => item !== undefined);
  }
  if (!isRecord(value)) return value;
  let result: Readonly<Record<string, unknown>> = value;
  for (const name of Object.keys(value)) {
    const inner = trim(value[name], isRecord(live) ? live[name] : undefined, fieldOf(owned, name), appliedBefore);
    result = withField(result, name, inner);
  }
  return result;
}

/** Returns the item of the live list that has the same merge keys as the desired item. */
function liveItem(live: unknown, owned: unknown, item: unknown): unknown {
  if (!Array.isArray(live)) return undefined;
  const fields = fieldsOfItem(owned, item);
  return fields === undefined
    ? live.find((candidate) => isRecord(candidate) && isRecord(item) && candidate.name === item.name)
    : live.find((candidate) => fieldsOfItem(owned, candidate) === fields);
}

/** Returns the record with another value for a name, or without the name; the record itself when nothing changes. */
function withField(
  value: Readonly<Record<string, unknown>>,
  name: string,
  inner: unknown,
): Readonly<Record<string, unknown>> {
  if (inner === value[name]) return value;
  const { [name]: _, ...rest } = value;
  return inner === undefined ? rest : { ...rest, [name]: inner };
}
