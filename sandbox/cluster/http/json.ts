import type { Kind } from '../core/kinds.ts';
import type { JsonObject, KubeObject } from '../core/object.ts';
import { toVersion } from '../write/persist.ts';

const texts = new WeakMap<JsonObject, string>();

/** Serialises an object. Stored objects never change, so each is serialised once, however often it is read. */
export function serializeObject(object: KubeObject): string {
  let text = texts.get(object);
  if (text === undefined) {
    text = JSON.stringify(object);
    texts.set(object, text);
  }
  return text;
}

/** Serialises an item of a list. Lists of built-in kinds omit the items' apiVersion and kind. */
export function serializeItem(kind: Kind, object: KubeObject): string {
  if (kind.custom) return serializeObject(toVersion(kind, object));
  const text = serializeObject(object);
  const head = `{"apiVersion":${JSON.stringify(object.apiVersion)},"kind":${JSON.stringify(object.kind)},`;
  return text.startsWith(head) ? `{${text.slice(head.length)}` : text;
}
