import { fieldManager, isOwnApply, isRecord, type ManagedFields } from './kube-object.ts';

/** A set of fields as `fieldsV1` holds it: a name of a member (`f:spec`, `k:{"name":"web"}`, `v:"x"`, `.`) to the set below it. */
export type FieldSet = Readonly<Record<string, unknown>>;

/** The way to a member of a field set, such as `f:spec`, `f:ports`, `k:{"port":80,"protocol":"TCP"}`. */
export type FieldElements = readonly string[];

/** Returns the set of the fields that are in either of two sets. */
export function unionOf(left: FieldSet, right: FieldSet): FieldSet {
  const union: Record<string, unknown> = { ...withDot(left) };
  for (const [name, inner] of Object.entries(withDot(right))) {
    const own = union[name];
    union[name] = name !== '.' && isRecord(own) && isRecord(inner) ? unionOf(own, inner) : inner;
  }
  return withoutLoneDot(union);
}

/**
 * Returns the owners of an object after the agent has taken over fields: those at the paths, or with `managers` all fields of some
 * managers. Only ownership in this version of the kind is taken over, and none of a status. Undefined when nothing changes hands.
 */
export function takenOver(
  owners: readonly ManagedFields[],
  apiVersion: string,
  { paths = [], managers = () => false }: TakenFields,
): ManagedFields[] | undefined {
  let taken: FieldSet | undefined;
  const take = (fields: FieldSet) => {
    taken = taken ? unionOf(taken, fields) : fields;
  };
  const others: ManagedFields[] = [];
  for (const owner of owners) {
    if (isOwnApply(owner)) continue;
    const { fieldsV1, subresource } = owner;
    const isTakeable = owner.apiVersion === apiVersion && (subresource ?? '') === '' && isRecord(fieldsV1);
    if (isTakeable && managers(owner)) {
      take(fieldsV1);
      continue;
    }
    let left: unknown = fieldsV1;
    if (isTakeable) for (const path of paths) left = without(left, path);
    if (left !== undefined) others.push({ ...owner, fieldsV1: left });
  }
  // Also a field without an owner, such as a default, becomes the agent's: the next apply then removes it.
  for (const path of paths) take(at(path));
  if (!taken) return undefined;
  const own = owners.find(isOwnApply);
  const fields = own && isRecord(own.fieldsV1) ? unionOf(own.fieldsV1, taken) : taken;
  const fresh = { manager: fieldManager, operation: 'Apply', apiVersion, fieldsType: 'FieldsV1' };
  return [{ ...(own ?? fresh), fieldsV1: fields }, ...others];
}

export interface TakenFields {
  readonly paths?: readonly FieldElements[];
  readonly managers?: (owner: ManagedFields) => boolean;
}

/** Returns the set without a member and all below it; undefined when nothing is left. */
function without(fields: unknown, path: FieldElements): unknown {
  const [name, ...rest] = path;
  if (name === undefined) return undefined;
  if (!isRecord(fields) || !(name in fields)) return fields;
  const { [name]: inner, ...others } = fields;
  const left = without(inner, rest);
  const result = left === undefined ? others : { ...others, [name]: left };
  return Object.keys(result).length === 0 ? undefined : withoutLoneDot(result);
}

function at(path: FieldElements): FieldSet {
  return path.reduceRight<FieldSet>((inner, name) => ({ [name]: inner }), {});
}

/** An empty set below a name means that the name itself is a member, as a dot does beside other members. */
function withDot(fields: FieldSet): FieldSet {
  return Object.keys(fields).length === 0 ? { '.': {} } : fields;
}

function withoutLoneDot(fields: FieldSet): FieldSet {
  return Object.keys(fields).length === 1 && '.' in fields ? {} : fields;
}
