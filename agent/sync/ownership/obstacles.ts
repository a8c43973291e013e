import type { FieldCause } from '../../kube/api-error.ts';
import { isBuiltIn } from '../../manifest/applied-form.ts';
import type { FieldElements } from '../../object/field-set.ts';
import { isRecord, type KubeObject } from '../../object/kube-object.ts';

/** Words with which the API server refuses a value that may have one form only, such as a volume, because of a second form. */
const secondForm = /may not be specified when|may not specify more than 1|exactly one of|cannot set both/;
/** Words with which it refuses the same about the members of the field itself. */
const secondMember = /may not have more than one field specified|exactly one of/;

/** A value as desired and as it is, with the way to it. */
interface Place {
  readonly desired: unknown;
  readonly live: unknown;
  readonly path: FieldElements;
}

/**
 * Returns the live fields that others have set, and that stand in the way of an apply, as the refusal of its result shows: an item of
 * a keyed list that has another key than a desired item but a value that must be unique, and a second form beside the desired one.
 */
export function obstaclesTo(desired: KubeObject, live: KubeObject, causes: readonly FieldCause[]): FieldElements[] {
  const found = causes.flatMap(({ reason, field, message }) => {
    const names = field.replace(/\[[^\]]*\]/g, '').split('.');
    const root: Place = { desired, live, path: [] };
    const parents = placesAt(root, names.slice(0, -1), live);
    const leaf = names.at(-1) ?? '';
    if (reason === 'FieldValueDuplicate') return parents.flatMap((place) => duplicatesIn(place, leaf, live));
    // The rules of a custom kind may use these words about something else.
    if (!isBuiltIn(desired)) return [];
    if (secondMember.test(message)) return placesAt(root, names, live).flatMap(secondForms);
    if (!secondForm.test(message)) return [];
    return parents
      .flatMap((place) => (Array.isArray(place.desired) ? pairsOf(place, live) : [place]))
      .flatMap(secondForms);
  });
  return [...new Map(found.map((path) => [path.join('\0'), path])).values()];
}

/** Returns the places at a path of names: in a keyed list, those in each item that is both desired and there. */
function placesAt(place: Place, names: readonly string[], object: KubeObject): Place[] {
  const [name, ...rest] = names;
  if (Array.isArray(place.desired) && names.length > 0) {
    return pairsOf(place, object).flatMap((item) => (item.desired === undefined ? [] : placesAt(item, names, object)));
  }
  if (name === undefined) return [place];
  if (!isRecord(place.desired) || !isRecord(place.live)) return [];
  const inner = { desired: place.desired[name], live: place.live[name], path: [...place.path, `f:${name}`] };
  return inner.desired === undefined || inner.live === undefined ? [] : placesAt(inner, rest, object);
}

/** Returns the live items of a keyed list, each with the desired item of the same key, if there is one. */
function pairsOf({ desired, live, path }: Place, object: KubeObject): Place[] {
  if (!Array.isArray(live) || !Array.isArray(desired)) return [];
  return keyElements(object, path).flatMap((element) => {
    const keys: unknown = JSON.parse(element.slice(2));
    // The server fills in merge keys that a manifest leaves out.
    const hasKeys = (item: unknown) =>
      isRecord(keys) &&
      isRecord(item) &&
      Object.keys(keys).every((key) => item[key] === undefined || item[key] === keys[key]);
    const found = live.find(hasKeys);
    return found === undefined ? [] : [{ desired: desired.find(hasKeys), live: found, path: [...path, element] }];
  });
}

/** Returns the keys of a list's items, as the owners of the object name them: `k:{"name":"web"}`. */
function keyElements(object: KubeObject, path: FieldElements): string[] {
  const elements = (object.metadata.managedFields ?? []).flatMap(({ fieldsV1 }) => {
    let fields: unknown = fieldsV1;
    for (const name of path) fields = isRecord(fields) ? fields[name] : undefined;
    return isRecord(fields) ? Object.keys(fields).filter((name) => name.startsWith('k:')) : [];
  });
  return [...new Set(elements)];
}

/** Returns the live items of a list that nobody desires, and that have the same value in a field as a desired one. */
function duplicatesIn(place: Place, field: string, object: KubeObject): FieldElements[] {
  const { desired } = place;
  const taken = new Set(
    Array.isArray(desired) ? desired.map((item) => (isRecord(item) ? item[field] : undefined)) : [],
  );
  return pairsOf(place, object).flatMap((item) => {
    const value = isRecord(item.live) ? item.live[field] : undefined;
    return item.desired === undefined && value !== undefined && taken.has(value) ? [item.path] : [];
  });
}

/** Returns the live members that are not desired and may be a second form: a map, or the plain value beside one. */
function secondForms(place: Place): FieldElements[] {
  const { desired, live, path } = place;
  if (!isRecord(desired) || !isRecord(live)) return [];
  return Object.entries(live).flatMap(([name, value]) => {
    const isForm = isRecord(value) || name === 'value' || name === 'url';
    return isForm && desired[name] === undefined ? [[...path, `f:${name}`]] : [];
  });
}
