import type { Core } from '../core/core.ts';
import type { Kind } from '../core/kinds.ts';

/** The resource and object that a request's path names. */
export interface Target {
  readonly kind: Kind;
  readonly namespace: string | undefined;
  readonly name: string | undefined;
  readonly subresource: string | undefined;
}

/** Parses paths like `/api/v1/namespaces/x/pods/y/status`. Returns undefined when no such resource is served. */
export function parseTarget(core: Core, path: string): Target | undefined {
  const parts = path.split('/').slice(1).map(decodeURIComponent);
  const apiVersion = parts[0] === 'api' ? parts[1] : parts[0] === 'apis' ? `${parts[1]}/${parts[2]}` : undefined;
  if (!apiVersion) return undefined;
  const rest = parts.slice(parts[0] === 'api' ? 2 : 3);
  const scoped = rest[0] === 'namespaces' && rest.length > 2 && !isNamespaceSubresource(apiVersion, rest);
  const namespace = scoped ? rest[1] : undefined;
  const [plural = '', name, subresource, more] = scoped ? rest.slice(2) : rest;
  const kind = core.kinds.byPlural(apiVersion, plural);
  if (!kind || more !== undefined || (scoped && !kind.namespaced)) return undefined;
  if (name !== undefined && kind.namespaced && !scoped) return undefined;
  return { kind, namespace, name, subresource };
}

function isNamespaceSubresource(apiVersion: string, rest: readonly string[]): boolean {
  return apiVersion === 'v1' && rest.length === 3 && (rest[2] === 'status' || rest[2] === 'finalize');
}
