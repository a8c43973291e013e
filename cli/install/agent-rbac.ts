/** A rule of a Kubernetes Role or ClusterRole. */
export interface PolicyRule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly verbs: readonly string[];
}

const allVerbs = ['get', 'list', 'watch', 'create', 'update', 'patch', 'delete'] as const;

/** Permissions of an agent in its own namespace, regardless of what it applies. */
export function namespaceRules(namespace: string, pakSecret: string): PolicyRule[] {
  return [
    // Inventories of the stacks in the cluster.
    { apiGroups: [''], resources: ['configmaps'], verbs: ['get', 'list', 'create', 'update', 'delete'] },
    // Its key, in an existing Secret.
    { apiGroups: [''], resources: ['secrets'], resourceNames: [pakSecret], verbs: ['get', 'update'] },
    // Leader election. RBAC cannot limit the name of a created object.
    { apiGroups: ['coordination.k8s.io'], resources: ['leases'], verbs: ['create'] },
    {
      apiGroups: ['coordination.k8s.io'],
      resources: ['leases'],
      resourceNames: ['brokkr-agent'],
      verbs: ['get', 'update'],
    },
    // To find out whether its namespace exists.
    { apiGroups: [''], resources: ['namespaces'], resourceNames: [namespace], verbs: ['get'] },
  ];
}

/** Permissions of an agent in the whole cluster, to apply objects and to read health and diagnostics; without Secrets and roles. */
export const clusterRules: readonly PolicyRule[] = [
  // The uid of kube-system identifies the cluster.
  { apiGroups: [''], resources: ['namespaces'], verbs: allVerbs },
  {
    apiGroups: [''],
    resources: [
      'configmaps',
      'services',
      'serviceaccounts',
      'persistentvolumeclaims',
      'pods',
      'replicationcontrollers',
    ],
    verbs: allVerbs,
  },
  { apiGroups: ['apps'], resources: ['deployments', 'statefulsets', 'daemonsets', 'replicasets'], verbs: allVerbs },
  { apiGroups: ['batch'], resources: ['jobs', 'cronjobs'], verbs: allVerbs },
  { apiGroups: ['networking.k8s.io'], resources: ['ingresses', 'networkpolicies'], verbs: allVerbs },
  { apiGroups: ['autoscaling'], resources: ['horizontalpodautoscalers'], verbs: allVerbs },
  { apiGroups: ['policy'], resources: ['poddisruptionbudgets'], verbs: allVerbs },
  { apiGroups: [''], resources: ['events'], verbs: ['get', 'list', 'watch'] },
  { apiGroups: [''], resources: ['pods/log'], verbs: ['get'] },
  { apiGroups: ['apps'], resources: ['controllerrevisions'], verbs: ['get', 'list', 'watch'] },
];
