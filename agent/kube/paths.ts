import { type KindId, type KubeObject, listAt, type ObjectId, textAt } from '../object/kube-object.ts';
import { pathOf, type Resource } from './discovery.ts';

/** Returns the path of one object. */
export function objectPath(resource: Resource, { namespace, name }: ObjectId): string {
  return `${listPath(resource, namespace)}/${encodeURIComponent(name)}`;
}

/** Returns the path of a kind's list, in one namespace or, when that is empty, in all. */
export function listPath({ apiVersion, plural, namespaced }: Resource, namespace: string): string {
  const scope = namespaced && namespace !== '' ? `/namespaces/${encodeURIComponent(namespace)}` : '';
  return `${pathOf(apiVersion)}${scope}/${plural}`;
}

/** Returns the objects of a list. The server leaves out the kind of a list's items, so it is set here. */
export function itemsOf(list: unknown, { apiVersion, kind }: KindId): KubeObject[] {
  return listAt(list, 'items').map((item) => ({ ...(item as KubeObject), apiVersion, kind }));
}

/** Returns the token for a list's next page; undefined after the last one. */
export function continueTokenOf(list: unknown): string | undefined {
  return textAt(list, 'metadata', 'continue') || undefined;
}
