import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { KubeSource } from '../../agent/kube/kubeconfig.ts';
import type { KubeObject, ObjectId } from '../../agent/object/kube-object.ts';
import { startKube } from '../../sandbox/apiserver/apiserver.ts';
import { requestToken } from '../../sandbox/apiserver/client.ts';
import { type SimulatedCluster, startSimulatedCluster } from '../../sandbox/cluster/cluster.ts';
import { connect, until } from './test-agent.ts';

/** A cluster where the agent may only write its inventory in namespace `brokkr` and impersonate team/deployer, who may write ConfigMaps in `team`. */
export interface TenantCluster {
  readonly source: KubeSource;
  /** Creates or replaces an object with the rights of a cluster admin. */
  put(object: KubeObject): Promise<unknown>;
  get(id: ObjectId): Promise<KubeObject | undefined>;
  remove(id: ObjectId): Promise<void>;
  /** Returns the requests since the last call; undefined for a cluster that does not log them. */
  requests(): { path: string; impersonated: string }[] | undefined;
  close(): Promise<void>;
}

export async function openSimulatedTenantCluster(): Promise<TenantCluster> {
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

/** Opens the same on a real kube-apiserver; only where `needs('go')` is true. */
export async function openRealTenantCluster(): Promise<TenantCluster> {
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
  for (const object of fixtures) await admin.create(object, signal);
  const token = await requestToken(kube, 'brokkr', 'agent');
  // The authorizer sees new roles only after a moment.
  const agent = connect({ text: kube.kubeconfigFor(token) });
  await until(() => mayAct(agent.impersonate('team/deployer')), 'the roles to take effect');
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

const fixtures: readonly KubeObject[] = [
  { apiVersion: 'v1', kind: 'Namespace', ...named('brokkr') },
  { apiVersion: 'v1', kind: 'Namespace', ...named('team') },
  { apiVersion: 'v1', kind: 'ServiceAccount', ...named('agent', 'brokkr') },
  { apiVersion: 'v1', kind: 'ServiceAccount', ...named('deployer', 'team') },
  // The agent's own rights: its inventory.
  { ...rbac, kind: 'Role', ...named('inventory', 'brokkr'), rules: [{ ...configMaps, verbs }] },
  bind('inventory', 'brokkr', agentAccount),
  // The right to impersonate one account; nothing else in the tenant's namespace.
  {
    ...rbac,
    kind: 'Role',
    ...named('act-as', 'team'),
    rules: [{ apiGroups: [''], resources: ['serviceaccounts'], resourceNames: ['deployer'], verbs: ['impersonate'] }],
  },
  bind('act-as', 'team', agentAccount),
  { ...rbac, kind: 'Role', ...named('deploy', 'team'), rules: [{ ...configMaps, verbs }] },
  // Bound to the account's group, which the API server adds itself.
  bind('deploy', 'team', { apiGroup: 'rbac.authorization.k8s.io', kind: 'Group', name: 'system:serviceaccounts:team' }),
];
