import type { Core } from '../core/core.ts';
import {
  isObject,
  type Json,
  type JsonObject,
  type KubeObject,
  listAt,
  objectAt,
  textAt,
  valueAt,
} from '../core/object.ts';
import { applyObject } from '../write/apply.ts';
import { removeObject } from '../write/remove.ts';
import { writeStatus } from '../write/write.ts';
import { isNamespaceTerminating } from './namespace.ts';

/** Publishes the endpoints of Services, with the Service's own labels as the real controllers do. */
export function runServiceController(core: Core): void {
  const services = core.kinds.byKind('v1', 'Service')!;
  const endpoints = core.kinds.byKind('v1', 'Endpoints')!;
  const slices = core.kinds.byKind('discovery.k8s.io/v1', 'EndpointSlice')!;
  const publish = (namespace: string, name: string) => {
    const service = core.store.get(services.resource, namespace, name);
    if (!service || service.metadata.deletionTimestamp) return;
    if (valueAt(service, 'spec.type') === 'LoadBalancer' && !valueAt(service, 'status.loadBalancer.ingress'))
      writeStatus(core, services, service, { loadBalancer: { ingress: [{ ip: '192.0.2.10' }] } });
    if (!isObject(valueAt(service, 'spec.selector')) || isNamespaceTerminating(core, namespace)) return;
    const ready = readyPods(core, service);
    const options = { manager: 'kube-controller-manager', force: true };
    applyObject(core, endpoints, buildEndpoints(service, ready), namespace, name, options);
    applyObject(core, slices, buildEndpointSlice(service, ready), namespace, `${name}-sim`, options);
  };
  core.store.subscribe(({ resource, object, deleted }) => {
    const { namespace, name } = object.metadata;
    if (!namespace) return;
    if (resource === services.resource) {
      if (!deleted) core.schedule(5, () => publish(namespace, name));
      else if (core.store.get(endpoints.resource, namespace, name))
        core.schedule(5, () => {
          if (core.store.get(endpoints.resource, namespace, name)) removeObject(core, endpoints, namespace, name);
        });
    }
    if (resource === '/pods')
      for (const service of core.store.list(services.resource, namespace))
        if (selectsPod(service, object)) core.schedule(5, () => publish(namespace, service.metadata.name));
  });
}

function selectsPod(service: KubeObject, pod: KubeObject): boolean {
  const selector = Object.entries(objectAt(service, 'spec.selector'));
  return selector.length > 0 && selector.every(([key, value]) => pod.metadata.labels?.[key] === value);
}

function readyPods(core: Core, service: KubeObject): KubeObject[] {
  return core.store
    .list('/pods', service.metadata.namespace)
    .filter(
      (pod) => selectsPod(service, pod) && !pod.metadata.deletionTimestamp && textAt(pod, 'status.phase') === 'Running',
    );
}

function buildEndpoints(service: KubeObject, pods: KubeObject[]): JsonObject {
  const { name, labels } = service.metadata;
  const addresses = pods.map((pod) => ({ ip: valueAt(pod, 'status.podIP'), targetRef: podReference(pod) }));
  return {
    metadata: { name, labels: { ...labels, 'endpoints.kubernetes.io/managed-by': 'endpoint-controller' } },
    subsets: addresses.length > 0 ? [{ addresses, ports: endpointPorts(service) }] : undefined,
  };
}

function buildEndpointSlice(service: KubeObject, pods: KubeObject[]): JsonObject {
  const { name, uid, labels } = service.metadata;
  const owner = { apiVersion: 'v1', kind: 'Service', name, uid, controller: true, blockOwnerDeletion: true };
  const own = {
    'kubernetes.io/service-name': name,
    'endpointslice.kubernetes.io/managed-by': 'endpointslice-controller.k8s.io',
  };
  return {
    metadata: { name: `${name}-sim`, labels: { ...labels, ...own }, ownerReferences: [owner] },
    addressType: 'IPv4',
    endpoints: pods.map((pod) => ({
      addresses: [valueAt(pod, 'status.podIP')],
      conditions: { ready: true, serving: true, terminating: false },
      targetRef: podReference(pod),
    })),
    ports: endpointPorts(service),
  };
}

function endpointPorts(service: KubeObject): Json[] {
  return listAt(service, 'spec.ports').map((port) => ({
    name: textAt(port, 'name') ?? '',
    port: valueAt(port, 'targetPort'),
    protocol: valueAt(port, 'protocol'),
  }));
}

function podReference({ kind, metadata: { name, namespace, uid } }: KubeObject): JsonObject {
  return { kind, name, namespace, uid };
}
