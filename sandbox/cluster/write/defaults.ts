import type { Kind } from '../core/kinds.ts';
import { isObject, type Json, type JsonObject, type KubeObject, objectAt } from '../core/object.ts';

/** Returns a copy with the defaults that the real server sets, as far as a client notices them. */
export function withDefaults(kind: Kind, object: KubeObject): KubeObject {
  const fill = kind.custom ? undefined : fillers[kind.kind];
  return fill ? fill(object) : object;
}

const fillers: { readonly [kind: string]: (object: KubeObject) => KubeObject } = {
  Secret: (object) => {
    const { stringData, ...rest } = object;
    const secret = { type: 'Opaque', ...rest } as KubeObject;
    if (!isObject(stringData)) return secret;
    const encoded = Object.entries(stringData).map(([name, text]) => [
      name,
      Buffer.from(String(text)).toString('base64'),
    ]);
    return { ...secret, data: { ...objectAt(rest, 'data'), ...Object.fromEntries(encoded) } };
  },
  Service: (object) => spec(object, serviceSpec),
  Deployment: (object) =>
    spec(object, (given) => ({
      replicas: 1,
      strategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: '25%', maxSurge: '25%' } },
      revisionHistoryLimit: 10,
      progressDeadlineSeconds: 600,
      ...given,
      template: podTemplate(given.template),
    })),
  StatefulSet: (object) =>
    spec(object, (given) => ({
      replicas: 1,
      podManagementPolicy: 'OrderedReady',
      updateStrategy: { type: 'RollingUpdate', rollingUpdate: { partition: 0 } },
      revisionHistoryLimit: 10,
      ...given,
      template: podTemplate(given.template),
    })),
  DaemonSet: (object) =>
    spec(object, (given) => ({
      updateStrategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 1, maxSurge: 0 } },
      revisionHistoryLimit: 10,
      ...given,
      template: podTemplate(given.template),
    })),
  ReplicaSet: (object) => spec(object, (given) => ({ replicas: 1, ...given, template: podTemplate(given.template) })),
  Job: (object) =>
    spec(object, (given) => ({
      parallelism: 1,
      completions: 1,
      backoffLimit: 6,
      completionMode: 'NonIndexed',
      suspend: false,
      ...given,
      selector: given.selector ?? { matchLabels: { 'batch.kubernetes.io/controller-uid': object.metadata.uid } },
      template: podTemplate(given.template),
    })),
  CronJob: (object) =>
    spec(object, (given) => ({
      concurrencyPolicy: 'Allow',
      suspend: false,
      successfulJobsHistoryLimit: 3,
      failedJobsHistoryLimit: 1,
      ...given,
    })),
  Pod: (object) => spec(object, podSpec),
  PersistentVolumeClaim: (object) => spec(object, (given) => ({ volumeMode: 'Filesystem', ...given })),
  Namespace: (object) => {
    const { name, labels } = object.metadata;
    const metadata = { ...object.metadata, labels: { ...labels, 'kubernetes.io/metadata.name': name } };
    return { ...object, metadata, spec: { finalizers: ['kubernetes'], ...objectAt(object, 'spec') } };
  },
};

function spec(object: KubeObject, fill: (given: JsonObject) => JsonObject): KubeObject {
  return { ...object, spec: fill(objectAt(object, 'spec')) };
}

function serviceSpec(given: JsonObject): JsonObject {
  return {
    type: 'ClusterIP',
    sessionAffinity: 'None',
    internalTrafficPolicy: 'Cluster',
    ...given,
    ports: eachObject(given.ports, (port) => ({ protocol: 'TCP', targetPort: port.port, ...port })),
  };
}

function podTemplate(template: Json): Json {
  return isObject(template) ? { ...template, spec: podSpec(objectAt(template, 'spec')) } : template;
}

function podSpec(given: JsonObject): JsonObject {
  return {
    restartPolicy: 'Always',
    terminationGracePeriodSeconds: 30,
    dnsPolicy: 'ClusterFirst',
    securityContext: {},
    schedulerName: 'default-scheduler',
    ...given,
    containers: eachObject(given.containers, container),
    initContainers: eachObject(given.initContainers, container),
  };
}

function container(given: JsonObject): JsonObject {
  const image = String(given.image ?? '');
  const tag = image.slice(image.lastIndexOf('/') + 1).split(':')[1];
  return {
    imagePullPolicy: tag === undefined || tag === 'latest' ? 'Always' : 'IfNotPresent',
    terminationMessagePath: '/dev/termination-log',
    terminationMessagePolicy: 'File',
    ...given,
    resources: canonicalQuantities(objectAt(given, 'resources')),
    ports: eachObject(given.ports, (port) => ({ protocol: 'TCP', ...port })),
  };
}

/** Writes quantities of whole units as the real server does: `1000m` as `1`. */
function canonicalQuantities(resources: JsonObject): JsonObject {
  const canonical = (value: Json) => (typeof value === 'string' ? value.replace(/^([1-9]\d*)000m$/, '$1') : value);
  const members = Object.entries(resources).map(([name, amounts]): [string, Json] => [
    name,
    isObject(amounts)
      ? Object.fromEntries(Object.entries(amounts).map(([resource, amount]) => [resource, canonical(amount)]))
      : amounts,
  ]);
  return Object.fromEntries(members);
}

function eachObject(list: Json, change: (item: JsonObject) => JsonObject): Json {
  return Array.isArray(list) ? list.map((item) => (isObject(item) ? change(item) : item)) : list;
}
