import type { KubeObject } from '../../agent/object/kube-object.ts';
import { configMap } from './test-agent.ts';

/** Builds a ConfigMap in namespace `default`. */
export function testConfigMap(name: string, value = '1'): KubeObject {
  return configMap(name, { k: value }, 'default');
}

/** Adds the annotations that put an object into a wave or after others. */
export function withOrder(object: KubeObject, { wave, after }: { wave?: string; after?: string }): KubeObject {
  const annotations = {
    ...(wave !== undefined && { 'k8s.brokkr.io/wave': wave }),
    ...(after !== undefined && { 'k8s.brokkr.io/apply-after': after }),
  };
  return { ...object, metadata: { ...object.metadata, annotations } };
}

/** Builds a Deployment without replicas. */
export function deployment(name: string): KubeObject {
  const labels = { app: name };
  const spec = { containers: [{ name: 'web', image: 'web:1' }] };
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, namespace: 'default' },
    spec: { replicas: 0, selector: { matchLabels: labels }, template: { metadata: { labels }, spec } },
  };
}
