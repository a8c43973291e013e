/** What a generator may deploy; see GeneratorRules in the contract. */
export interface GeneratorLimits {
  readonly allowNamespaces: readonly string[];
  readonly denyNamespaces: readonly string[];
  readonly allowKinds: readonly string[];
  readonly denyKinds: readonly string[];
  readonly clusterScoped: boolean;
}

export interface LimitedObject {
  readonly apiVersion: string;
  readonly kind: string;
  /** Empty when it names none. */
  readonly namespace: string;
  readonly name: string;
}

/**
 * Why a generator may not deploy an object; undefined when it may. The broker asks when something is submitted, and agents ask again
 * before they apply, knowing from their cluster whether the kind is namespaced; without that knowledge (undefined), a kind of
 * Kubernetes itself is known by name, and for others the question is left to the agent.
 */
export function denialReason(
  limits: GeneratorLimits,
  subject: LimitedObject,
  namespaced?: boolean,
): string | undefined {
  const kind = kindOf(subject);
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

/** "ConfigMap" of the core group, "apps/Deployment" of another. */
function kindOf({ apiVersion, kind }: LimitedObject): string {
  const slash = apiVersion.indexOf('/');
  return slash < 0 ? kind : `${apiVersion.slice(0, slash)}/${kind}`;
}

/** "*" is every kind, "group/*" every kind of a group. */
function kindMatches(pattern: string, kind: string): boolean {
  if (pattern === '*' || pattern === kind) return true;
  return pattern.endsWith('/*') && kind.startsWith(pattern.slice(0, -1));
}

function nameMatches(pattern: string, name: string): boolean {
  return pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : name === pattern;
}

/** Whether a kind of Kubernetes itself is namespaced; undefined for a group of somebody else. */
function isNamespaced(kind: string): boolean | undefined {
  if (clusterScopedKinds.has(kind)) return false;
  const group = kind.includes('/') ? kind.slice(0, kind.indexOf('/')) : '';
  return builtInGroups.has(group) ? true : undefined;
}

/** Groups of Kubernetes 1.36 whose kinds are all in `clusterScoped` or else namespaced. */
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
