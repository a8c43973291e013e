import type { ObjectId } from '../object/kube-object.ts';
import { hasStatus } from './api-error.ts';
import type { Cluster } from './cluster.ts';

/** Creates the inventory's namespace when it is missing. An agent without that right fails later, with its first write. */
export async function ensureNamespace(cluster: Cluster, name: string, signal: AbortSignal): Promise<void> {
  const id = namespaceId(name);
  try {
    if (await cluster.get(id, signal)) return;
    await cluster.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } }, signal);
  } catch (error) {
    if (!hasStatus(error, 403) && !hasStatus(error, 409)) throw error;
  }
}

/**
 * Returns the cluster's identity: the uid of `kube-system`. An agent that is limited to a namespace, and may not read that, uses
 * the uid of its inventory's namespace. Rejects when it may read neither.
 */
export async function readClusterId(cluster: Cluster, namespace: string, signal: AbortSignal): Promise<string> {
  for (const name of ['kube-system', namespace]) {
    try {
      const uid = (await cluster.get(namespaceId(name), signal))?.metadata.uid;
      if (uid) return uid;
    } catch (error) {
      if (!hasStatus(error, 403)) throw error;
    }
  }
  throw new Error(
    `the cluster cannot be told from others: the agent may read neither namespace kube-system nor ${namespace}`,
  );
}

function namespaceId(name: string): ObjectId {
  return { apiVersion: 'v1', kind: 'Namespace', namespace: '', name };
}
