import type { KubeObject, ObjectId } from '../../agent/object/kube-object.ts';
import type { StackEvent } from '../../agent/target/stack-event.ts';
import { stackId, type TargetStack, type TestAgent } from './test-agent.ts';
import { applyStack } from './test-agents.ts';

const stack = stackId('gone');
const removal: TargetStack = {
  stackId: stack,
  deploymentId: 'd',
  order: 2n,
  generation: 2n,
  state: 'removing',
  kinds: ['v1/ConfigMap'],
};

/** A stack that a test applies and then removes. */
export const removedStack = {
  stack,
  removal,
  apply: (testAgent: TestAgent, objects: readonly KubeObject[]) =>
    applyStack(testAgent, { stackId: stack, order: 1n, deploymentId: 'd', objects }),
  /** Requests the removal, and resolves to the next event. */
  requestRemoval(testAgent: TestAgent, more: Partial<TargetStack> = {}): Promise<StackEvent> {
    const event = testAgent.nextEvent(stack);
    testAgent.setTarget([{ ...removal, ...more }]);
    return event;
  },
};

export function statefulSetId(name: string): ObjectId {
  return { apiVersion: 'apps/v1', kind: 'StatefulSet', namespace: 'default', name };
}

/** Builds a StatefulSet without replicas, with these volume claim templates. */
export function statefulSet(name: string, whenDeleted: 'Delete' | 'Retain', claims: readonly string[]): KubeObject {
  const labels = { app: name };
  const template = { metadata: { labels }, spec: { containers: [{ name: 'db', image: 'db:1' }] } };
  const volumeClaimTemplates = claims.map((claim) => ({
    metadata: { name: claim },
    spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } },
  }));
  const persistentVolumeClaimRetentionPolicy = { whenDeleted, whenScaled: 'Retain' };
  const selector = { matchLabels: labels };
  const spec = { serviceName: name, replicas: 0, selector, template };
  return {
    apiVersion: 'apps/v1',
    kind: 'StatefulSet',
    metadata: { name },
    spec: { ...spec, volumeClaimTemplates, persistentVolumeClaimRetentionPolicy },
  };
}

/** Builds the definition of a namespaced kind without a schema. */
export function customResourceDefinition(group: string, kind: string, served: boolean): KubeObject {
  const singular = kind.toLowerCase();
  const plural = `${singular}s`;
  const schema = { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } };
  const names = { plural, singular, kind, listKind: `${kind}List` };
  const versions = [{ name: 'v1', served, storage: true, schema }];
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.${group}` },
    spec: { group, scope: 'Namespaced', names, versions },
  };
}
