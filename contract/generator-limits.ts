import { isNamespaced } from './kind-scope.ts';
import { type KindId, kindName } from './object-key.ts';

/** The rules for what a generator may deploy; see GeneratorRules in the contract. */
export interface GeneratorLimits {
  readonly allowNamespaces: readonly string[];
  readonly denyNamespaces: readonly string[];
  readonly allowKinds: readonly string[];
  readonly denyKinds: readonly string[];
  readonly clusterScoped: boolean;
}

/** The object that is to be deployed. */
export interface LimitedObject extends KindId {
  /** Empty when the object names none. */
  readonly namespace: string;
  readonly name: string;
}

/**
 * Says why a generator may not deploy an object; undefined when it may. The broker checks submissions, and agents check again before
 * they apply, because only their cluster tells whether a kind is `namespaced`. While that is undefined, kinds of Kubernetes itself
 * are known by name, and the check of other kinds is left to the agent.
 */
export function denialReason(
  limits: GeneratorLimits,
  subject: LimitedObject,
  namespaced?: boolean,
): string | undefined {
  const kind = kindName(subject);
  if (limits.denyKinds.some((pattern) => kindMatches(pattern, kind))) return `kind ${kind} is denied`;
  if (limits.allowKinds.length > 0 && !limits.allowKinds.some((pattern) => kindMatches(pattern, kind))) {
    return `kind ${kind} is not among the allowed kinds`;
  }
  const inNamespace = namespaced ?? isNamespaced(kind);
  if (inNamespace === false) {
    if (!limits.clusterScoped) return `kind ${kind} is cluster-scoped`;
    return kind === 'Namespace' ? namespaceDenialReason(limits, subject.name) : undefined;
  }
  if (subject.namespace !== '') return namespaceDenialReason(limits, subject.namespace);
  const limited = limits.allowNamespaces.length + limits.denyNamespaces.length > 0;
  return inNamespace && limited ? 'it must name its namespace' : undefined;
}

function namespaceDenialReason(limits: GeneratorLimits, namespace: string): string | undefined {
  if (limits.denyNamespaces.some((pattern) => nameMatches(pattern, namespace)))
    return `namespace ${namespace} is denied`;
  if (limits.allowNamespaces.length === 0) return undefined;
  if (limits.allowNamespaces.some((pattern) => nameMatches(pattern, namespace))) return undefined;
  return `namespace ${namespace} is not among the allowed namespaces`;
}

/** Matches "*" with every kind, and "group/*" with every kind of a group. */
function kindMatches(pattern: string, kind: string): boolean {
  if (pattern === '*' || pattern === kind) return true;
  return pattern.endsWith('/*') && kind.startsWith(pattern.slice(0, -1));
}

function nameMatches(pattern: string, name: string): boolean {
  return pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : name === pattern;
}
