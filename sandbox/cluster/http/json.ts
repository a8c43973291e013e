import type { Kind } from '../core/kinds.ts';
import type { JsonObject, KubeObject } from '../core/object.ts';
import { asVersion } from '../write/write.ts';

const texts = new WeakMap<JsonObject, string>();

/** Stored objects never change, so each is written out once however often it is read. */
export function textOf(object: KubeObject): string {
  let text = texts.get(object);
  if (text === undefined) {
    text = JSON.stringify(object);
    texts.set(object, text);
  }
  return text;
}

/** As an item of a list: built-in kinds leave their apiVersion and kind out there. */
export function itemText(kind: Kind, object: KubeObject): string {
  if (kind.custom) return textOf(asVersion(kind, object));
  const text = textOf(object);
  const head = `{"apiVersion":${JSON.stringify(object.apiVersion)},"kind":${JSON.stringify(object.kind)},`;
  return text.startsWith(head) ? `{${text.slice(head.length)}` : text;
}
