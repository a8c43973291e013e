import { HOST } from '../host.ts';
import type { KubeFolder } from './folder.ts';

/**
 * Controllers that act on API objects alone. Those for nodes, contents of volumes and cloud providers are left out: the
 * cluster has none.
 */
const CONTROLLERS = [
  'clusterrole-aggregation-controller',
  'cronjob-controller',
  'daemonset-controller',
  'deployment-controller',
  'disruption-controller',
  'endpoints-controller',
  'endpointslice-controller',
  'endpointslice-mirroring-controller',
  'garbage-collector-controller',
  'job-controller',
  'namespace-controller',
  'persistentvolume-protection-controller',
  'persistentvolumeclaim-protection-controller',
  'replicaset-controller',
  'replicationcontroller-controller',
  'resourcequota-controller',
  'root-ca-certificate-publisher-controller',
  'serviceaccount-controller',
  'serviceaccount-token-controller',
  'statefulset-controller',
  'ttl-after-finished-controller',
  'validatingadmissionpolicy-status-controller',
] as const;

export function etcdFlags(folder: KubeFolder, port: number): string[] {
  const url = `http://${HOST}:${port}`;
  return [
    `--data-dir=${folder.etcdData}`,
    `--listen-client-urls=${url}`,
    `--advertise-client-urls=${url}`,
    `--listen-peer-urls=http://${HOST}:0`,
    // The only member elects itself: short timeouts cost nothing and save a second of the start.
    '--heartbeat-interval=10',
    '--election-timeout=100',
    '--unsafe-no-fsync',
    '--log-level=warn',
  ];
}

/** Pass `controllers: false` when nothing will create service accounts: pods are then admitted without one. */
export function apiServerFlags(folder: KubeFolder, port: number, etcdPort: number, controllers: boolean): string[] {
  return [
    `--etcd-servers=http://${HOST}:${etcdPort}`,
    `--bind-address=${HOST}`,
    `--advertise-address=${HOST}`,
    `--secure-port=${port}`,
    `--cert-dir=${folder.certificates}`,
    `--token-auth-file=${folder.tokens}`,
    `--service-account-key-file=${folder.serviceAccountKey}`,
    `--service-account-signing-key-file=${folder.serviceAccountKey}`,
    '--service-account-issuer=https://kubernetes.default.svc',
    '--service-cluster-ip-range=10.0.0.0/24',
    '--authorization-mode=RBAC',
    '--allow-privileged=true',
    // A loopback address is not allowed as an endpoint of the `kubernetes` service.
    '--endpoint-reconciler-type=none',
    '--enable-priority-and-fairness=false',
    '--profiling=false',
    ...(controllers ? [] : ['--disable-admission-plugins=ServiceAccount']),
  ];
}

export function controllerManagerFlags(folder: KubeFolder): string[] {
  return [
    `--kubeconfig=${folder.kubeconfig}`,
    `--controllers=${CONTROLLERS.join(',')}`,
    `--root-ca-file=${folder.ca}`,
    `--service-account-private-key-file=${folder.serviceAccountKey}`,
    '--leader-elect=false',
    '--secure-port=0',
    '--kube-api-qps=200',
    '--kube-api-burst=400',
    '--profiling=false',
  ];
}
