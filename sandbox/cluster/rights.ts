import type { Core } from './core.ts';
import { at, type JsonObject, objectAt, textAt } from './object.ts';
import { StatusError } from './status.ts';
import type { Target } from './target.ts';

/** Undefined: everything is allowed. Else all in these namespaces, and nothing outside. */
export interface Rights {
  readonly namespaces: readonly string[];
}

const USER = 'system:serviceaccount:default:brokkr';

export function checkRights(
  rights: Rights | undefined,
  { kind, namespace, name, subresource }: Target,
  verb: string,
): void {
  const within = kind.resource === '/namespaces' && verb === 'get' ? name : namespace;
  if (!rights || (within && rights.namespaces.includes(within))) return;
  const resource = subresource ? `${kind.plural}/${subresource}` : kind.plural;
  const scope = namespace ? `in the namespace "${namespace}"` : 'at the cluster scope';
  const why = `User "${USER}" cannot ${verb} resource "${resource}" in API group "${kind.group}" ${scope}`;
  throw new StatusError(403, `${kind.title}${name ? ` "${name}"` : ''} is forbidden: ${why}`, {
    details: { name, group: kind.group || undefined, kind: kind.plural },
  });
}

export function verbOf(method: string, name: string | undefined, watch: boolean): string {
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

/** Answers a SelfSubjectAccessReview as the rights would. */
export function reviewAccess(core: Core, rights: Rights | undefined, review: JsonObject): JsonObject {
  const { group, resource, namespace, name, verb } = objectAt(review, 'spec.resourceAttributes');
  const kind = core.kinds.all().find((one) => one.plural === resource && one.group === (group ?? ''));
  const scope = kind?.resource === '/namespaces' && verb === 'get' ? name : namespace;
  const allowed =
    !rights || at(review, 'spec.resourceAttributes') === undefined || rights.namespaces.includes(String(scope));
  const reason = textAt(review, 'spec.resourceAttributes.namespace') ? 'by the namespace' : 'at the cluster scope';
  return { ...review, metadata: {}, status: { allowed, reason } };
}
