import { groupOf, type KindId, kindName } from './object-key.ts';

/** What a generator may deploy; see GeneratorRules in the contract. */
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

/** Answers whether a kind of Kubernetes itself is namespaced; undefined for a kind of another group. */
function isNamespaced(kind: string): boolean | undefined {
  if (clusterScopedKinds.has(kind)) return false;
  return builtInGroups.has(groupOf(kind)) ? true : undefined;
}

/** Groups of Kubernetes 1.36 whose kinds are all in `clusterScopedKinds` or else namespaced. */
const builtInGroups = new Set([
  '',
  'apps',
  'autoscaling',
  'batch',
  'coordination.k8s.io',
  'discovery.k8s.io',
  'events.k8s.io',
  'networking.k8s.io',
  'policy',
  'rbac.authorization.k8s.io',
]);

const clusterScopedKinds = new Set([
  'Namespace',
  'Node',
  'PersistentVolume',
  'ComponentStatus',
  'admissionregistration.k8s.io/MutatingAdmissionPolicy',
  'admissionregistration.k8s.io/MutatingAdmissionPolicyBinding',
  'admissionregistration.k8s.io/MutatingWebhookConfiguration',
  'admissionregistration.k8s.io/ValidatingAdmissionPolicy',
  'admissionregistration.k8s.io/ValidatingAdmissionPolicyBinding',
  'admissionregistration.k8s.io/ValidatingWebhookConfiguration',
  'apiextensions.k8s.io/CustomResourceDefinition',
  'apiregistration.k8s.io/APIService',
  'certificates.k8s.io/CertificateSigningRequest',
  'certificates.k8s.io/ClusterTrustBundle',
  'flowcontrol.apiserver.k8s.io/FlowSchema',
  'flowcontrol.apiserver.k8s.io/PriorityLevelConfiguration',
  'networking.k8s.io/IPAddress',
  'networking.k8s.io/IngressClass',
  'networking.k8s.io/ServiceCIDR',
  'node.k8s.io/RuntimeClass',
  'rbac.authorization.k8s.io/ClusterRole',
  'rbac.authorization.k8s.io/ClusterRoleBinding',
  'resource.k8s.io/DeviceClass',
  'resource.k8s.io/ResourceSlice',
  'scheduling.k8s.io/PriorityClass',
  'storage.k8s.io/CSIDriver',
  'storage.k8s.io/CSINode',
  'storage.k8s.io/StorageClass',
  'storage.k8s.io/VolumeAttachment',
  'storage.k8s.io/VolumeAttributesClass',
]);
