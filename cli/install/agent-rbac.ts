/** A rule of a Kubernetes role. */
export interface PolicyRule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly verbs: readonly string[];
}

const allVerbs = ['get', 'list', 'watch', 'create', 'update', 'patch', 'delete'] as const;

/** What an agent needs in its own namespace, whatever it applies. */
export function namespaceRules(namespace: string, pakSecret: string): PolicyRule[] {
  return [
    // The inventories: what each stack has in the cluster.
    { apiGroups: [''], resources: ['configmaps'], verbs: ['get', 'list', 'create', 'update', 'delete'] },
    // Its key, in a Secret that is there already.
    { apiGroups: [''], resources: ['secrets'], resourceNames: [pakSecret], verbs: ['get', 'update'] },
    // Who acts, of several agents. The name of what is created cannot be limited.
    { apiGroups: ['coordination.k8s.io'], resources: ['leases'], verbs: ['create'] },
    {
      apiGroups: ['coordination.k8s.io'],
      resources: ['leases'],
      resourceNames: ['brokkr-agent'],
      verbs: ['get', 'update'],
    },
    // That it is there.
    { apiGroups: [''], resources: ['namespaces'], resourceNames: [namespace], verbs: ['get'] },
  ];
}

/** What it may apply, and read for health and diagnostics, in the whole cluster. Secrets and roles are not in it. */
export const clusterRules: readonly PolicyRule[] = [
  // The uid of kube-system tells what cluster this is, among other things.
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
