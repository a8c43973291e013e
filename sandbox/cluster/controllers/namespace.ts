import type { Core } from '../core/core.ts';
import type { KubeObject } from '../core/object.ts';
import { removeObject } from '../write/remove.ts';
import { createObject } from '../write/write.ts';

const initialNamespaces = ['default', 'kube-system', 'kube-public', 'kube-node-lease'] as const;

/** Creates the initial objects of new namespaces, and empties and finalizes terminating ones. */
export function runNamespaceController(core: Core): void {
  const { store, kinds, schedule: later } = core;
  const scheduled = new Set<string>();
  const schedule = (name: string) => {
    if (scheduled.has(name)) return;
    scheduled.add(name);
    later(5, () => {
      scheduled.delete(name);
      empty(core, name);
    });
  };
  store.subscribe(({ resource, object, previous, deleted }) => {
    const { name, namespace, deletionTimestamp } = object.metadata;
    if (resource !== '/namespaces') {
      if (deleted && namespace && store.get('/namespaces', undefined, namespace)?.metadata.deletionTimestamp)
        schedule(namespace);
    } else if (deletionTimestamp) schedule(name);
    else if (!previous && !deleted) fill(name);
  });
  const fill = (namespace: string) => {
    const options = { manager: 'kube-controller-manager' };
    createObject(core, kinds.byKind('v1', 'ServiceAccount')!, { metadata: { name: 'default' } }, namespace, options);
    const data = { 'ca.crt': '-----BEGIN CERTIFICATE-----\nsimulated\n-----END CERTIFICATE-----\n' };
    createObject(
      core,
      kinds.byKind('v1', 'ConfigMap')!,
      { metadata: { name: 'kube-root-ca.crt' }, data },
      namespace,
      options,
    );
  };
}

export function createInitialNamespaces(core: Core): void {
  const kind = core.kinds.byKind('v1', 'Namespace')!;
  for (const name of initialNamespaces)
    createObject(core, kind, { metadata: { name } }, undefined, { manager: 'kube-apiserver' });
}

function empty(core: Core, namespace: string): void {
  const { store, kinds } = core;
  const found = store.get('/namespaces', undefined, namespace);
  if (!found?.metadata.deletionTimestamp) return;
  const contents = [...store.all()].filter(([, object]) => object.metadata.namespace === namespace);
  const namesakes = new Map(kinds.all().map((kind) => [kind.resource, kind]));
  let left = 0;
  for (const [resource, { metadata }] of contents) {
    const kind = namesakes.get(resource);
    if (!kind || !store.get(resource, namespace, metadata.name)) continue;
    const body = { propagationPolicy: 'Background' };
    if (!removeObject(core, kind, namespace, metadata.name, { body }).gone) left += 1;
  }
  if (left > 0) return;
  const current: KubeObject = store.get('/namespaces', undefined, namespace) ?? found;
  const ended = store.put('/namespaces', { ...current, spec: { finalizers: [] } });
  if (!ended.metadata.finalizers?.length) store.remove('/namespaces', ended);
}

/** Reports whether a namespace is gone or terminating, so that controllers add nothing to it. */
export function isNamespaceTerminating(core: Core, namespace: string): boolean {
  const found = core.store.get('/namespaces', undefined, namespace);
  return !found || found.metadata.deletionTimestamp !== undefined;
}
