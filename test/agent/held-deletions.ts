import type { KubeObject, ObjectId } from '../../agent/object/kube-object.ts';
import type { StackEvent } from '../../agent/target/stack-event.ts';
import { type Core, stackId, type Wish } from './test-agent.ts';
import { applied } from './test-agents.ts';

const stack = stackId('gone');
const removal: Wish = {
  stackId: stack,
  deploymentId: 'd',
  order: 2n,
  generation: 2n,
  state: 'removing',
  kinds: ['v1/ConfigMap'],
};

/** For tests: a stack that is applied, and then removed. */
export const goneStack = {
  stack,
  removal,
  apply: (core: Core, objects: readonly KubeObject[]) =>
    applied(core, { stackId: stack, order: 1n, deploymentId: 'd', objects }),
  /** Answers what is reported next. */
  tellRemoval(core: Core, more: Partial<Wish> = {}): Promise<StackEvent> {
    const told = core.next(stack);
    core.tell([{ ...removal, ...more }]);
    return told;
  },
};

export function idOfSet(name: string): ObjectId {
  return { apiVersion: 'apps/v1', kind: 'StatefulSet', namespace: 'default', name };
}

/** A StatefulSet without replicas, with these volume claims in its template. */
export function setOf(name: string, whenDeleted: 'Delete' | 'Retain', claims: readonly string[]): KubeObject {
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

/** Of a kind in a namespace, whose fields are free. */
export function definitionOf(group: string, kind: string, served: boolean): KubeObject {
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
