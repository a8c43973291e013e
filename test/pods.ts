import { randomUUID } from 'node:crypto';
import type { SimulatedCluster } from '../sandbox/cluster/cluster.ts';
import { eventually } from './broker.ts';

/** Builds a workload of one pod; by default its annotation requests that logs are forwarded. */
export function workload(name: string, asks = true): object {
  const labels = { app: name };
  const annotations = asks ? { 'brokkr.io/stream-logs': 'true' } : {};
  const containers = [{ name: 'main', image: 'main:1' }];
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, namespace: 'default' },
    spec: { selector: { matchLabels: labels }, template: { metadata: { labels, annotations }, spec: { containers } } },
  };
}

/** Waits for the workload's pod, and returns its name. */
export function podOf(cluster: SimulatedCluster, app: string): Promise<string> {
  const find = () => cluster.objects().find(({ kind, metadata }) => kind === 'Pod' && metadata.labels?.app === app);
  return eventually(() => find()?.metadata.name, 60_000);
}

/** Creates a Kubernetes event about a pod, as a kubelet does. */
export function tellEvent(cluster: SimulatedCluster, pod: string, message: string): void {
  const uid = cluster.get('v1', 'Pod', 'default', pod)?.metadata.uid;
  const now = new Date().toISOString();
  cluster.put({
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { name: `${pod}.${randomUUID()}`, namespace: 'default' },
    involvedObject: { apiVersion: 'v1', kind: 'Pod', namespace: 'default', name: pod, uid },
    type: 'Warning',
    reason: 'BackOff',
    message,
    count: 3,
    firstTimestamp: now,
    lastTimestamp: now,
    source: { component: 'kubelet' },
  });
}
