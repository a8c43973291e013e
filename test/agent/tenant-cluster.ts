import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { KubeSource } from '../../agent/kube/kubeconfig.ts';
import type { KubeObject, ObjectId } from '../../agent/object/kube-object.ts';
import { startKube } from '../../sandbox/apiserver/apiserver.ts';
import { tokenOf } from '../../sandbox/apiserver/client.ts';
import { type SimulatedCluster, startSimulatedCluster } from '../../sandbox/cluster/cluster.ts';
import { connect, until } from './test-agent.ts';

/** A cluster where the agent may write its inventory in namespace `brokkr` and act as team/deployer, who may write ConfigMaps there. */
export interface TenantCluster {
  readonly source: KubeSource;
  /** As an admin of the cluster. */
  put(object: KubeObject): Promise<unknown>;
  get(id: ObjectId): Promise<KubeObject | undefined>;
  remove(id: ObjectId): Promise<void>;
  /** The requests since the last call; undefined for a cluster that keeps no log of them. */
  requests(): { path: string; impersonated: string }[] | undefined;
  close(): Promise<void>;
}

export async function openSimulatedHouse(): Promise<TenantCluster> {
  const cluster: SimulatedCluster = await startSimulatedCluster({
    pods: false,
    rights: {
      namespaces: ['brokkr'],
      accounts: { 'team/deployer': { namespaces: ['team'], resources: ['configmaps'] } },
    },
  });
  for (const name of ['team', 'brokkr']) cluster.put({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
  return {
    source: { text: cluster.kubeconfig },
    put: async (object) => cluster.put(object as never),
    get: async ({ apiVersion, kind, namespace, name }) =>
      cluster.get(apiVersion, kind, namespace, name) as KubeObject | undefined,
    remove: async ({ apiVersion, kind, namespace, name }) => cluster.remove(apiVersion, kind, namespace, name),
    requests() {
      const requests = [...cluster.requests];
      cluster.clearRequests();
      return requests;
    },
    close: () => cluster.stop(),
  };
}

/** The same by a real kube-apiserver; only where `needs('go')` is true. */
export async function openRealHouse(): Promise<TenantCluster> {
  const dataDir = mkdtempSync(join(tmpdir(), 'brokkr-tenant-kube-'));
  const kube = await startKube({ dataDir });
  const admin = connect({ file: kube.kubeconfig });
  const { signal } = new AbortController();
  const tenantCluster = (token: string): TenantCluster => ({
    source: { text: kube.kubeconfigFor(token) },
    put: (object) => admin.create(object, signal),
    get: (id) => admin.get(id, signal),
    async remove(id) {
      const live = await admin.get(id, signal);
      if (live) await admin.remove(id, live.metadata.uid ?? '', signal);
    },
    requests: () => undefined,
    async close() {
      admin.close();
      await kube.stop();
      rmSync(dataDir, { recursive: true, force: true });
    },
  });
  for (const object of furniture) await admin.create(object, signal);
  const token = await tokenOf(kube, 'brokkr', 'agent');
  // The authorizer learns of roles a moment after they were written.
  const agent = connect({ text: kube.kubeconfigFor(token) });
  await until(() => mayAct(agent.impersonate('team/deployer')), 'the roles to count');
  agent.close();
  return tenantCluster(token);
}

async function mayAct(cluster: ReturnType<typeof connect>): Promise<boolean> {
  try {
    await cluster.list({ apiVersion: 'v1', kind: 'ConfigMap' }, { namespace: 'team' }, new AbortController().signal);
    return true;
  } catch {
    return false;
  }
}

const named = (name: string, namespace?: string) => ({ metadata: { name, ...(namespace && { namespace }) } });
const rbac = { apiVersion: 'rbac.authorization.k8s.io/v1' };
const configMaps = { apiGroups: [''], resources: ['configmaps'] };
const verbs = ['get', 'list', 'create', 'update', 'patch', 'delete'];
const bind = (role: string, namespace: string, subject: object): KubeObject => ({
  ...rbac,
  kind: 'RoleBinding',
  ...named(role, namespace),
  roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: role },
  subjects: [subject],
});
const agentAccount = { kind: 'ServiceAccount', namespace: 'brokkr', name: 'agent' };

const furniture: readonly KubeObject[] = [
  { apiVersion: 'v1', kind: 'Namespace', ...named('brokkr') },
  { apiVersion: 'v1', kind: 'Namespace', ...named('team') },
  { apiVersion: 'v1', kind: 'ServiceAccount', ...named('agent', 'brokkr') },
  { apiVersion: 'v1', kind: 'ServiceAccount', ...named('deployer', 'team') },
  // What the agent needs for itself: its inventory.
  { ...rbac, kind: 'Role', ...named('inventory', 'brokkr'), rules: [{ ...configMaps, verbs }] },
  bind('inventory', 'brokkr', agentAccount),
  // And to act as one account: nothing else in the tenant's namespace.
  {
    ...rbac,
    kind: 'Role',
    ...named('act-as', 'team'),
    rules: [{ apiGroups: [''], resources: ['serviceaccounts'], resourceNames: ['deployer'], verbs: ['impersonate'] }],
  },
  bind('act-as', 'team', agentAccount),
  { ...rbac, kind: 'Role', ...named('deploy', 'team'), rules: [{ ...configMaps, verbs }] },
  // Given to the account's group, which the API server adds by itself.
  bind('deploy', 'team', { apiGroup: 'rbac.authorization.k8s.io', kind: 'Group', name: 'system:serviceaccounts:team' }),
];
