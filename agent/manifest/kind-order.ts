import { type KindId, kindName } from '../object/kube-object.ts';

/** Kinds that others need, in the order in which they are applied. The kinds of one row go together. */
const first: readonly (readonly string[])[] = [
  ['Namespace'],
  ['apiextensions.k8s.io/CustomResourceDefinition'],
  [
    'scheduling.k8s.io/PriorityClass',
    'storage.k8s.io/StorageClass',
    'node.k8s.io/RuntimeClass',
    'networking.k8s.io/IngressClass',
  ],
  ['ResourceQuota', 'LimitRange', 'networking.k8s.io/NetworkPolicy', 'policy/PodDisruptionBudget'],
  ['ServiceAccount'],
  ['rbac.authorization.k8s.io/ClusterRole', 'rbac.authorization.k8s.io/Role'],
  ['rbac.authorization.k8s.io/ClusterRoleBinding', 'rbac.authorization.k8s.io/RoleBinding'],
  ['ConfigMap', 'Secret'],
  ['PersistentVolume'],
  ['PersistentVolumeClaim'],
  ['Service', 'Endpoints', 'discovery.k8s.io/EndpointSlice'],
  [
    'Pod',
    'ReplicationController',
    'apps/Deployment',
    'apps/StatefulSet',
    'apps/DaemonSet',
    'apps/ReplicaSet',
    'batch/Job',
    'batch/CronJob',
  ],
  ['autoscaling/HorizontalPodAutoscaler', 'networking.k8s.io/Ingress'],
];

/** Kinds that can block requests about all other kinds once they exist, so they are applied last. */
const last: readonly (readonly string[])[] = [
  ['apiregistration.k8s.io/APIService'],
  ['admissionregistration.k8s.io/ValidatingAdmissionPolicy', 'admissionregistration.k8s.io/MutatingAdmissionPolicy'],
  [
    'admissionregistration.k8s.io/ValidatingAdmissionPolicyBinding',
    'admissionregistration.k8s.io/MutatingAdmissionPolicyBinding',
  ],
  [
    'admissionregistration.k8s.io/ValidatingWebhookConfiguration',
    'admissionregistration.k8s.io/MutatingWebhookConfiguration',
  ],
];

const ranks: ReadonlyMap<string, number> = new Map([
  ...first.flatMap((row, rank) => row.map((kind) => [kind, rank] as const)),
  ...last.flatMap((row, rank) => row.map((kind) => [kind, first.length + 1 + rank] as const)),
]);

/** Returns a kind's rank in the order of application. Kinds in neither table, such as custom resources, rank between the two. */
export function rankOf(id: KindId): number {
  return ranks.get(kindName(id)) ?? first.length;
}

/** Returns whether objects of the kind can block requests about other kinds, so that they are applied last and removed first. */
export function canBlockRequests(id: KindId): boolean {
  return rankOf(id) > first.length;
}

/** Groups items by rank, lowest first. The groups are applied one after another, and removed in reverse order. */
export function groupByRank<Item>(items: readonly Item[], idOfItem: (item: Item) => KindId): Item[][] {
  const groups = new Map<number, Item[]>();
  for (const item of items) {
    const rank = rankOf(idOfItem(item));
    const group = groups.get(rank);
    if (group) group.push(item);
    else groups.set(rank, [item]);
  }
  return [...groups].sort(([left], [right]) => left - right).map(([, group]) => group);
}
