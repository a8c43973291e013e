import type { Kind, Kinds } from '../core/kinds.ts';
import type { JsonObject } from '../core/object.ts';

/** Serves enough for kubectl to find the kinds and to leave validation to the server. */
export function openApi(kinds: Kinds, path: string): JsonObject | undefined {
  if (path !== '/openapi/v3' && !path.startsWith('/openapi/v3/')) return undefined;
  const desired = path.slice('/openapi/v3/'.length);
  const all = kinds.all();
  if (!desired) {
    const entries = all.map((kind) => [apiRoot(kind), { serverRelativeURL: `/openapi/v3/${apiRoot(kind)}` }]);
    return { paths: Object.fromEntries(entries) };
  }
  const served = all.filter((kind) => apiRoot(kind) === desired);
  if (served.length === 0) return undefined;
  return {
    openapi: '3.0.0',
    info: { title: 'Kubernetes', version: 'v1.36.3' },
    paths: Object.fromEntries(served.map(pathEntry)),
    components: { schemas: Object.fromEntries(served.map(schemaEntry)) },
  };
}

function apiRoot({ group, version, apiVersion }: Kind): string {
  return group ? `apis/${apiVersion}` : `api/${version}`;
}

function pathEntry(kind: Kind): [string, JsonObject] {
  const parameters = ['dryRun', 'fieldManager', 'fieldValidation', 'force'].map((name) => ({ name, in: 'query' }));
  const operation = { parameters, 'x-kubernetes-group-version-kind': groupVersionKind(kind) };
  const scope = kind.namespaced ? 'namespaces/{namespace}/' : '';
  return [`/${apiRoot(kind)}/${scope}${kind.plural}/{name}`, { patch: operation, put: operation }];
}

function schemaEntry(kind: Kind): [string, JsonObject] {
  return [
    `${kind.group || 'core'}.${kind.version}.${kind.kind}`,
    {
      type: 'object',
      'x-kubernetes-preserve-unknown-fields': true,
      'x-kubernetes-group-version-kind': [groupVersionKind(kind)],
    },
  ];
}

function groupVersionKind({ group, version, kind }: Kind): JsonObject {
  return { group, version, kind };
}
