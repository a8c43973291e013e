import { builtInShape, type Shape } from './shape.ts';

export interface Kind {
  /** Storage key that all versions of a kind share: `group/plural`. */
  readonly resource: string;
  readonly group: string;
  readonly version: string;
  readonly apiVersion: string;
  readonly kind: string;
  readonly plural: string;
  readonly singular: string;
  readonly shortNames: readonly string[];
  readonly categories: readonly string[];
  readonly namespaced: boolean;
  /** Status is written through `/status` only. */
  readonly hasStatus: boolean;
  readonly hasGeneration: boolean;
  readonly custom: boolean;
  /** Name in messages: `deployments.apps`. */
  readonly title: string;
  readonly shape: Shape;
}

/** Flags: n namespaced, s has a status, g has a generation, a in the category `all`. */
const builtInTable = [
  ['v1', 'Namespace', 'namespaces', 'ns', 's'],
  ['v1', 'Node', 'nodes', 'no', 's'],
  ['v1', 'PersistentVolume', 'persistentvolumes', 'pv', 's'],
  ['v1', 'ConfigMap', 'configmaps', 'cm', 'n'],
  ['v1', 'Secret', 'secrets', '', 'n'],
  ['v1', 'Service', 'services', 'svc', 'nsa'],
  ['v1', 'ServiceAccount', 'serviceaccounts', 'sa', 'n'],
  ['v1', 'Pod', 'pods', 'po', 'nsga'],
  ['v1', 'PersistentVolumeClaim', 'persistentvolumeclaims', 'pvc', 'ns'],
  ['v1', 'Endpoints', 'endpoints', 'ep', 'n'],
  ['v1', 'Event', 'events', 'ev', 'n'],
  ['v1', 'LimitRange', 'limitranges', 'limits', 'n'],
  ['v1', 'ResourceQuota', 'resourcequotas', 'quota', 'ns'],
  ['v1', 'ReplicationController', 'replicationcontrollers', 'rc', 'nsga'],
  ['v1', 'PodTemplate', 'podtemplates', '', 'n'],
  ['apps/v1', 'Deployment', 'deployments', 'deploy', 'nsga'],
  ['apps/v1', 'StatefulSet', 'statefulsets', 'sts', 'nsga'],
  ['apps/v1', 'DaemonSet', 'daemonsets', 'ds', 'nsga'],
  ['apps/v1', 'ReplicaSet', 'replicasets', 'rs', 'nsga'],
  ['apps/v1', 'ControllerRevision', 'controllerrevisions', '', 'n'],
  ['batch/v1', 'Job', 'jobs', '', 'nsga'],
  ['batch/v1', 'CronJob', 'cronjobs', 'cj', 'nsga'],
  ['networking.k8s.io/v1', 'Ingress', 'ingresses', 'ing', 'nsg'],
  ['networking.k8s.io/v1', 'NetworkPolicy', 'networkpolicies', 'netpol', 'ng'],
  ['networking.k8s.io/v1', 'IngressClass', 'ingressclasses', '', 'g'],
  ['rbac.authorization.k8s.io/v1', 'Role', 'roles', '', 'n'],
  ['rbac.authorization.k8s.io/v1', 'RoleBinding', 'rolebindings', '', 'n'],
  ['rbac.authorization.k8s.io/v1', 'ClusterRole', 'clusterroles', '', ''],
  ['rbac.authorization.k8s.io/v1', 'ClusterRoleBinding', 'clusterrolebindings', '', ''],
  ['policy/v1', 'PodDisruptionBudget', 'poddisruptionbudgets', 'pdb', 'nsg'],
  ['autoscaling/v2', 'HorizontalPodAutoscaler', 'horizontalpodautoscalers', 'hpa', 'nsa'],
  ['storage.k8s.io/v1', 'StorageClass', 'storageclasses', 'sc', ''],
  ['scheduling.k8s.io/v1', 'PriorityClass', 'priorityclasses', 'pc', ''],
  ['coordination.k8s.io/v1', 'Lease', 'leases', '', 'n'],
  ['apiextensions.k8s.io/v1', 'CustomResourceDefinition', 'customresourcedefinitions', 'crd', 'sg'],
  ['apiregistration.k8s.io/v1', 'APIService', 'apiservices', '', 's'],
  ['admissionregistration.k8s.io/v1', 'ValidatingWebhookConfiguration', 'validatingwebhookconfigurations', '', 'g'],
  ['admissionregistration.k8s.io/v1', 'MutatingWebhookConfiguration', 'mutatingwebhookconfigurations', '', 'g'],
  ['admissionregistration.k8s.io/v1', 'ValidatingAdmissionPolicy', 'validatingadmissionpolicies', '', 'sg'],
  ['admissionregistration.k8s.io/v1', 'ValidatingAdmissionPolicyBinding', 'validatingadmissionpolicybindings', '', 'g'],
  ['discovery.k8s.io/v1', 'EndpointSlice', 'endpointslices', '', 'ng'],
] as const;

const builtIn: ReadonlyMap<string, Kind> = new Map(
  builtInTable.map(([apiVersion, name, plural, shortName, flags]) => {
    const has = (flag: string) => flags.includes(flag);
    const [group, version] = splitApiVersion(apiVersion);
    const kind: Kind = {
      ...kindNames(group, version, name, plural),
      shortNames: shortName ? [shortName] : [],
      categories: has('a') ? ['all'] : [],
      namespaced: has('n'),
      hasStatus: has('s'),
      hasGeneration: has('g'),
      custom: false,
      shape: builtInShape,
    };
    return [`${apiVersion}/${plural}`, kind];
  }),
);

const builtInGroups: ReadonlySet<string> = new Set([...builtIn.values()].map(({ group }) => group));

/** The kinds that one cluster serves: the built-in ones, shared by all clusters, and its custom ones. */
export interface Kinds {
  all(): Kind[];
  byPlural(apiVersion: string, plural: string): Kind | undefined;
  byKind(apiVersion: string, kind: string): Kind | undefined;
  isBuiltInGroup(group: string): boolean;
  /** Replaces the served versions of a custom resource; an empty list removes it. */
  setCustom(resource: string, versions: readonly Kind[]): void;
}

export function createKinds(): Kinds {
  const custom = new Map<string, Kind>();
  const byName = (apiVersion: string, name: string, from: Iterable<Kind>) => {
    for (const kind of from) if (kind.kind === name && kind.apiVersion === apiVersion) return kind;
    return undefined;
  };
  return {
    all: () => [...builtIn.values(), ...custom.values()],
    byPlural: (apiVersion, plural) => builtIn.get(`${apiVersion}/${plural}`) ?? custom.get(`${apiVersion}/${plural}`),
    byKind: (apiVersion, name) =>
      byName(apiVersion, name, builtIn.values()) ?? byName(apiVersion, name, custom.values()),
    isBuiltInGroup: (group) => builtInGroups.has(group),
    setCustom: (resource, versions) => {
      for (const [key, kind] of custom) if (kind.resource === resource) custom.delete(key);
      for (const kind of versions) custom.set(`${kind.apiVersion}/${kind.plural}`, kind);
    },
  };
}

export function kindNames(group: string, version: string, kind: string, plural: string) {
  return {
    resource: `${group}/${plural}`,
    group,
    version,
    apiVersion: group ? `${group}/${version}` : version,
    kind,
    plural,
    singular: kind.toLowerCase(),
    title: group ? `${plural}.${group}` : plural,
  };
}

function splitApiVersion(apiVersion: string): [group: string, version: string] {
  const [first = '', second] = apiVersion.split('/');
  return second ? [first, second] : ['', first];
}
