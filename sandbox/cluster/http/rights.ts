import type { Core } from '../core/core.ts';
import { type JsonObject, objectAt, textAt, valueAt } from '../core/object.ts';
import { StatusError } from '../core/status.ts';
import type { Target } from './target.ts';

/** Rights of a client: everything in these namespaces, and nothing outside. Undefined rights allow everything. */
export interface Rights {
  readonly namespaces: readonly string[];
  /** ServiceAccounts ("namespace/name") that the client may impersonate, and the rights of each. Default: none. */
  readonly accounts?: Readonly<Record<string, AccountRights>>;
}

export interface AccountRights {
  readonly namespaces: readonly string[];
  /** Plural names such as `configmaps`; default all. */
  readonly resources?: readonly string[];
}

const USER = 'system:serviceaccount:default:brokkr';
const ACCOUNT = 'system:serviceaccount:';

/** The user who makes a request, with that user's rights. */
export interface Requester {
  readonly user: string;
  readonly rights: AccountRights | undefined;
}

/** Reads the request's `Impersonate-User`. Throws Forbidden when the client may not impersonate that user. */
export function authenticate(rights: Rights | undefined, impersonated: string): Requester {
  if (impersonated === '') return { user: USER, rights };
  const [namespace = '', name = ''] = impersonated.startsWith(ACCOUNT)
    ? impersonated.slice(ACCOUNT.length).split(':')
    : [];
  const account = rights?.accounts?.[`${namespace}/${name}`];
  if (!rights || account) return { user: impersonated, rights: account };
  const message = name
    ? `serviceaccounts "${name}" is forbidden: User "${USER}" cannot impersonate resource "serviceaccounts" in API group "" in the namespace "${namespace}"`
    : `users "${impersonated}" is forbidden: User "${USER}" cannot impersonate resource "users" in API group "" at the cluster scope`;
  throw new StatusError(403, message, {
    details: { name: name || impersonated, kind: name ? 'serviceaccounts' : 'users' },
  });
}

export function checkRights(
  { user, rights }: Requester,
  { kind, namespace, name, subresource }: Target,
  verb: string,
): void {
  const within = kind.resource === '/namespaces' && verb === 'get' ? name : namespace;
  const known = !rights?.resources || rights.resources.includes(kind.plural);
  if (!rights || (known && within && rights.namespaces.includes(within))) return;
  const resource = subresource ? `${kind.plural}/${subresource}` : kind.plural;
  const scope = namespace ? `in the namespace "${namespace}"` : 'at the cluster scope';
  const why = `User "${user}" cannot ${verb} resource "${resource}" in API group "${kind.group}" ${scope}`;
  throw new StatusError(403, `${kind.title}${name ? ` "${name}"` : ''} is forbidden: ${why}`, {
    details: { name, group: kind.group || undefined, kind: kind.plural },
  });
}

export function requestVerb(method: string, name: string | undefined, watch: boolean): string {
  switch (method) {
    case 'GET':
    case 'HEAD':
      return name ? 'get' : watch ? 'watch' : 'list';
    case 'POST':
      return 'create';
    case 'PUT':
      return 'update';
    case 'PATCH':
      return 'patch';
    case 'DELETE':
      return name ? 'delete' : 'deletecollection';
    default:
      throw new StatusError(405, `the server does not allow this method on the requested resource: ${method}`);
  }
}

/** Answers a SelfSubjectAccessReview according to the rights. */
export function reviewAccess(core: Core, rights: Rights | undefined, review: JsonObject): JsonObject {
  const { group, resource, namespace, name, verb } = objectAt(review, 'spec.resourceAttributes');
  const kind = core.kinds.all().find((candidate) => candidate.plural === resource && candidate.group === (group ?? ''));
  const scope = kind?.resource === '/namespaces' && verb === 'get' ? name : namespace;
  const allowed =
    !rights || valueAt(review, 'spec.resourceAttributes') === undefined || rights.namespaces.includes(String(scope));
  const reason = textAt(review, 'spec.resourceAttributes.namespace') ? 'by the namespace' : 'at the cluster scope';
  return { ...review, metadata: {}, status: { allowed, reason } };
}
