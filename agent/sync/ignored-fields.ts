import { type FieldStep, parseFieldPath } from '../../contract/field-path.ts';
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
  for (const path of paths) object = trimAt(object, live, owned, parseFieldPath(path) ?? [], appliedBefore);
  return object === wanted.object ? wanted : { ...wanted, object: object as KubeObject };
}

function covers({ kind, name }: IgnoredFields, id: ObjectId): boolean {
  return (kind === '' || kind === kindName(id)) && (name === '' || name === id.name);
}

/** Trims the value at a path. */
function trimAt(
  value: unknown,
  live: unknown,
  owned: unknown,
  path: readonly FieldStep[],
  appliedBefore: boolean,
): unknown {
  const [step, ...rest] = path;
  if (step === undefined) return trim(value, live, owned, appliedBefore);
  if (Array.isArray(value)) return trimItems(value, live, owned, path, appliedBefore);
  if (step.kind !== 'name' || !isRecord(value) || !(step.name in value)) return value;
  const { name } = step;
  const inner = trimAt(value[name], isRecord(live) ? live[name] : undefined, fieldOf(owned, name), rest, appliedBefore);
  return withField(value, name, inner);
}

/** Trims in the items of a list that the path selects; a name without a selector before it stands for all items. */
function trimItems(
  list: readonly unknown[],
  live: unknown,
  owned: unknown,
  path: readonly FieldStep[],
  appliedBefore: boolean,
): unknown {
  const [step] = path;
  const rest = step?.kind === 'name' ? path : path.slice(1);
  const isSelected = (item: unknown) =>
    step?.kind !== 'items' || (isRecord(item) && String(item[step.field]) === step.value);
  const trimmed = list.map((item, index) => {
    if (!isSelected(item)) return item;
    // Whoever sets a part of such a list owns all of it, so what others have set is applied as it is, rather than left out.
    if (!isKeyed(owned)) return withLive(item, sameItem(list, live, index), rest);
    return trimAt(item, liveItem(live, owned, item), fieldsOfItem(owned, item), rest, appliedBefore);
  });
  return trimmed.every((item, index) => item === list[index]) ? list : trimmed.filter((item) => item !== undefined);
}

/** Returns whether the items of a list have owners of their own. */
function isKeyed(owned: unknown): boolean {
  return isRecord(owned) && Object.keys(owned).some((name) => name.startsWith('k:'));
}

/** Returns the live item that stands for an item of a list without keys: that of the same name, or at the same place. */
function sameItem(list: readonly unknown[], live: unknown, index: number): unknown {
  if (!Array.isArray(live)) return undefined;
  const item = list[index];
  const named = isRecord(item) && item.name !== undefined;
  if (named) return live.find((candidate) => isRecord(candidate) && candidate.name === item.name);
  return live.length === list.length ? live[index] : undefined;
}

/** Returns the value with what the live one has at a path, as far as both have the way to it. */
function withLive(value: unknown, live: unknown, path: readonly FieldStep[]): unknown {
  const [step, ...rest] = path;
  if (step === undefined) return live ?? value;
  if (Array.isArray(value)) {
    const below = step.kind === 'name' ? path : rest;
    const items = value.map((item, index) =>
      step.kind !== 'items' || (isRecord(item) && String(item[step.field]) === step.value)
        ? withLive(item, sameItem(value, live, index), below)
        : item,
    );
    return items.every((item, index) => item === value[index]) ? value : items;
  }
  if (step.kind !== 'name' || !isRecord(value) || !isRecord(live)) return value;
  const inner = withLive(value[step.name], live[step.name], rest);
  return inner === value[step.name] ? value : { ...value, [step.name]: inner };
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
