// Over 300 lines: one table, a row for each state of each kind.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { KubeObject, Metadata } from '../object/kube-object.ts';
import { healthOf } from './evaluate.ts';
import type { Verdict } from './status.ts';

const test = suite('health of one object');

type Row = readonly [name: string, kind: string, parts: object, health: Verdict['health'], message?: RegExp];

const seen = { observedGeneration: 2 };
const condition = (type: string, status: string, reason = '', message = '') => ({ type, status, reason, message });
const deployment = (status: object, spec: object = { replicas: 3 }) => ({ spec, status: { ...seen, ...status } });
const rolledOut = condition('Progressing', 'True', 'NewReplicaSetAvailable');
const container = (state: object, more: object = {}) => ({ name: 'c', restartCount: 0, state, ...more });
const pod = (phase: string, ...containerStatuses: object[]) => ({ status: { phase, containerStatuses } });
const backOff = container({ waiting: { reason: 'ImagePullBackOff', message: 'Back-off pulling image "x"' } });
const crash = (restartCount: number) =>
  container(
    { waiting: { reason: 'CrashLoopBackOff', message: 'back-off 40s' } },
    { restartCount, lastState: { terminated: { reason: 'Error', exitCode: 3 } } },
  );

const rows: readonly Row[] = [
  ['a new one', 'apps/v1 Deployment', { spec: {} }, 'progressing', /has not seen the last change/],
  ['an old status', 'apps/v1 Deployment', deployment({ observedGeneration: 1 }), 'progressing', /not seen/],
  [
    'being updated',
    'apps/v1 Deployment',
    deployment({ updatedReplicas: 1, availableReplicas: 3 }),
    'progressing',
    /^1 of 3 replicas updated, 3 ready$/,
  ],
  [
    'with old pods',
    'apps/v1 Deployment',
    deployment({ replicas: 4, updatedReplicas: 3, availableReplicas: 3 }),
    'progressing',
    /1 replicas of the old/,
  ],
  [
    'not ready yet',
    'apps/v1 Deployment',
    deployment({ replicas: 3, updatedReplicas: 3, availableReplicas: 1 }),
    'progressing',
    /^1 of 3 replicas ready$/,
  ],
  [
    'that lost one',
    'apps/v1 Deployment',
    deployment({ replicas: 3, updatedReplicas: 3, availableReplicas: 2, conditions: [rolledOut] }),
    'degraded',
    /^2 of 3/,
  ],
  [
    'that lost all',
    'apps/v1 Deployment',
    deployment({ replicas: 3, updatedReplicas: 3, conditions: [rolledOut] }),
    'progressing',
    /^0 of 3/,
  ],
  [
    'complete',
    'apps/v1 Deployment',
    deployment({ replicas: 3, updatedReplicas: 3, availableReplicas: 3, conditions: [rolledOut] }),
    'healthy',
  ],
  ['scaled to nothing', 'apps/v1 Deployment', deployment({}, { replicas: 0 }), 'healthy'],
  [
    'past its deadline',
    'apps/v1 Deployment',
    deployment({
      updatedReplicas: 3,
      conditions: [condition('Progressing', 'False', 'ProgressDeadlineExceeded', 'timed out')],
    }),
    'failed',
    /^0 of 3 replicas ready: timed out$/,
  ],
  [
    'over quota',
    'apps/v1 Deployment',
    deployment({ conditions: [condition('ReplicaFailure', 'True', 'FailedCreate', 'exceeded quota')] }),
    'failed',
    /exceeded quota/,
  ],
  [
    'starting',
    'apps/v1 StatefulSet',
    deployment({ replicas: 1, readyReplicas: 1 }),
    'progressing',
    /^1 of 3 replicas ready$/,
  ],
  [
    'being updated',
    'apps/v1 StatefulSet',
    deployment({ replicas: 3, readyReplicas: 3, updatedReplicas: 1, currentRevision: 'a', updateRevision: 'b' }),
    'progressing',
    /^1 of 3 replicas updated/,
  ],
  [
    'with a partition',
    'apps/v1 StatefulSet',
    deployment(
      { replicas: 3, readyReplicas: 3, updatedReplicas: 1, currentRevision: 'a', updateRevision: 'b' },
      { replicas: 3, updateStrategy: { rollingUpdate: { partition: 2 } } },
    ),
    'healthy',
  ],
  [
    'updated by hand',
    'apps/v1 StatefulSet',
    deployment(
      { replicas: 3, readyReplicas: 3, currentRevision: 'a', updateRevision: 'b' },
      { replicas: 3, updateStrategy: { type: 'OnDelete' } },
    ),
    'healthy',
  ],
  [
    'that lost one',
    'apps/v1 StatefulSet',
    deployment({ replicas: 3, readyReplicas: 2, updatedReplicas: 3, currentRevision: 'a', updateRevision: 'a' }),
    'degraded',
    /^2 of 3/,
  ],
  ['on no node', 'apps/v1 DaemonSet', deployment({ desiredNumberScheduled: 0 }), 'healthy'],
  [
    'being updated',
    'apps/v1 DaemonSet',
    deployment({ desiredNumberScheduled: 2, updatedNumberScheduled: 1, numberReady: 2, numberAvailable: 2 }),
    'progressing',
    /^1 of 2 pods updated/,
  ],
  [
    'lame',
    'apps/v1 DaemonSet',
    deployment({ desiredNumberScheduled: 2, updatedNumberScheduled: 2, numberReady: 1, numberAvailable: 1 }),
    'degraded',
    /ready on 1 of 2 nodes/,
  ],
  [
    'complete',
    'apps/v1 DaemonSet',
    deployment({ desiredNumberScheduled: 2, updatedNumberScheduled: 2, numberReady: 2, numberAvailable: 2 }),
    'healthy',
  ],
  ['short', 'apps/v1 ReplicaSet', deployment({ availableReplicas: 1 }), 'progressing', /^1 of 3/],
  [
    'refused',
    'apps/v1 ReplicaSet',
    deployment({ conditions: [condition('ReplicaFailure', 'True', '', 'forbidden')] }),
    'failed',
    /forbidden/,
  ],
  ['complete', 'apps/v1 ReplicaSet', deployment({ availableReplicas: 3 }), 'healthy'],
  [
    'running',
    'batch/v1 Job',
    { spec: { completions: 2 }, status: { succeeded: 1, failed: 1 } },
    'progressing',
    /^1 of 2 completions; 1 pods failed$/,
  ],
  ['suspended', 'batch/v1 Job', { spec: { suspend: true } }, 'healthy'],
  ['done', 'batch/v1 Job', { status: { conditions: [condition('Complete', 'True')] } }, 'healthy'],
  [
    'given up',
    'batch/v1 Job',
    { status: { conditions: [condition('Failed', 'True', 'BackoffLimitExceeded', 'too often')] } },
    'failed',
    /^it failed: too often$/,
  ],
  ['there', 'batch/v1 CronJob', {}, 'healthy'],
  [
    'not scheduled',
    'v1 Pod',
    { status: { phase: 'Pending', conditions: [condition('PodScheduled', 'False', 'Unschedulable', '0/3 nodes')] } },
    'progressing',
    /cannot be scheduled: 0\/3 nodes/,
  ],
  [
    'starting',
    'v1 Pod',
    pod('Pending', container({ waiting: { reason: 'ContainerCreating' } })),
    'progressing',
    /^it is Pending$/,
  ],
  ['without an image', 'v1 Pod', pod('Pending', backOff), 'failed', /^ImagePullBackOff: Back-off pulling image "x"$/],
  [
    'that crashed once',
    'v1 Pod',
    pod('Running', crash(1)),
    'progressing',
    /^CrashLoopBackOff: back-off 40s; it ended with Error, exit code 3$/,
  ],
  ['that crashes on and on', 'v1 Pod', pod('Running', crash(5)), 'failed'],
  ['ready', 'v1 Pod', { status: { phase: 'Running', conditions: [condition('Ready', 'True')] } }, 'healthy'],
  ['done', 'v1 Pod', pod('Succeeded'), 'healthy'],
  [
    'evicted',
    'v1 Pod',
    { status: { phase: 'Failed', reason: 'Evicted', message: 'low on memory' } },
    'failed',
    /^it failed: Evicted: low on memory$/,
  ],
  ['pending', 'v1 PersistentVolumeClaim', { status: { phase: 'Pending' } }, 'progressing'],
  ['bound', 'v1 PersistentVolumeClaim', { status: { phase: 'Bound' } }, 'healthy'],
  ['lost', 'v1 PersistentVolumeClaim', { status: { phase: 'Lost' } }, 'failed'],
  ['of a cluster', 'v1 Service', { spec: { type: 'ClusterIP' } }, 'healthy'],
  ['without an address', 'v1 Service', { spec: { type: 'LoadBalancer' } }, 'progressing', /no address/],
  [
    'with an address',
    'v1 Service',
    { spec: { type: 'LoadBalancer' }, status: { loadBalancer: { ingress: [{ ip: '10.0.0.1' }] } } },
    'healthy',
  ],
  ['there', 'networking.k8s.io/v1 Ingress', {}, 'healthy'],
  [
    'blind',
    'autoscaling/v2 HorizontalPodAutoscaler',
    { status: { conditions: [condition('ScalingActive', 'False', 'FailedGetResourceMetric', 'no metrics')] } },
    'degraded',
    /no metrics/,
  ],
  [
    'off',
    'autoscaling/v2 HorizontalPodAutoscaler',
    { status: { conditions: [condition('ScalingActive', 'False', 'ScalingDisabled')] } },
    'healthy',
  ],
  [
    'without its pods',
    'policy/v1 PodDisruptionBudget',
    deployment({
      currentHealthy: 0,
      desiredHealthy: 2,
      conditions: [condition('DisruptionAllowed', 'False', 'InsufficientPods')],
    }),
    'healthy',
  ],
  ['new', 'policy/v1 PodDisruptionBudget', {}, 'progressing', /not seen/],
  [
    'that cannot be computed',
    'policy/v1 PodDisruptionBudget',
    deployment({ conditions: [condition('DisruptionAllowed', 'False', 'SyncFailed', 'no scale')] }),
    'degraded',
    /no scale/,
  ],
  ['kept', 'policy/v1 PodDisruptionBudget', deployment({ currentHealthy: 2, desiredHealthy: 2 }), 'healthy'],
  [
    'down',
    'apiregistration.k8s.io/v1 APIService',
    { status: { conditions: [condition('Available', 'False', 'ServiceNotFound', 'no service')] } },
    'degraded',
    /no service/,
  ],
  [
    'up',
    'apiregistration.k8s.io/v1 APIService',
    { status: { conditions: [condition('Available', 'True')] } },
    'healthy',
  ],
  ['new', 'apiextensions.k8s.io/v1 CustomResourceDefinition', {}, 'progressing'],
  [
    'refused',
    'apiextensions.k8s.io/v1 CustomResourceDefinition',
    { status: { conditions: [condition('NamesAccepted', 'False', '', 'taken')] } },
    'failed',
    /taken/,
  ],
  [
    'served',
    'apiextensions.k8s.io/v1 CustomResourceDefinition',
    { status: { conditions: [condition('Established', 'True')] } },
    'healthy',
  ],
  ['without a status', 'example.org/v1 Widget', {}, 'healthy'],
  ['not seen', 'example.org/v1 Widget', { status: { observedGeneration: 1 } }, 'progressing', /not seen/],
  ['ready', 'example.org/v1 Widget', { status: { ...seen, conditions: [condition('Ready', 'True')] } }, 'healthy'],
  [
    'not ready',
    'example.org/v1 Widget',
    { status: { conditions: [condition('Ready', 'False', 'Waiting', 'for a lock')] } },
    'progressing',
    /^it is not ready: for a lock$/,
  ],
  [
    'ready for an older one',
    'example.org/v1 Widget',
    { status: { conditions: [{ ...condition('Ready', 'False'), observedGeneration: 1 }] } },
    'progressing',
    /not seen/,
  ],
  [
    'ready in an older generation',
    'example.org/v1 Widget',
    { status: { conditions: [{ ...condition('Ready', 'True'), observedGeneration: 1 }] } },
    'progressing',
    /not seen/,
  ],
  [
    'stalled in an older generation',
    'example.org/v1 Widget',
    { status: { conditions: [{ ...condition('Stalled', 'True'), observedGeneration: 1 }] } },
    'progressing',
    /not seen/,
  ],
  [
    'that is ready, but not synced',
    'example.org/v1 Widget',
    {
      status: {
        conditions: [condition('Ready', 'True'), condition('Synced', 'False', 'ReconcileError', 'no such region')],
      },
    },
    'degraded',
    /^it is not synced: no such region$/,
  ],
  [
    'not synced yet',
    'example.org/v1 Widget',
    { status: { conditions: [condition('Synced', 'Unknown')] } },
    'progressing',
  ],
  [
    'that runs',
    'example.org/v1 Widget',
    { status: { conditions: [condition('Succeeded', 'Unknown', 'Running')] } },
    'progressing',
    /has not succeeded: Running/,
  ],
  [
    'that failed',
    'example.org/v1 Widget',
    { status: { conditions: [condition('Failed', 'True', 'Bad')] } },
    'failed',
    /^it failed: Bad$/,
  ],
  [
    'unhealthy',
    'example.org/v1 Widget',
    { status: { conditions: [condition('Installed', 'True'), condition('Healthy', 'False')] } },
    'progressing',
  ],
  [
    'neither stalled nor degraded',
    'example.org/v1 Widget',
    { status: { conditions: [condition('Stalled', 'False'), condition('Degraded', 'False')] } },
    'healthy',
  ],
  [
    'stalled',
    'example.org/v1 Widget',
    { status: { conditions: [condition('Stalled', 'True', 'Bad', 'no such chart'), condition('Ready', 'False')] } },
    'failed',
    /no such chart/,
  ],
  [
    'being reconciled',
    'example.org/v1 Widget',
    { status: { conditions: [condition('Reconciling', 'True'), condition('Ready', 'True')] } },
    'progressing',
  ],
  [
    'degraded',
    'example.org/v1 Widget',
    { status: { conditions: [condition('Degraded', 'True', '', 'one of two')] } },
    'degraded',
    /one of two/,
  ],
  ['there', 'v1 ConfigMap', { data: {} }, 'healthy'],
  ['active', 'v1 Namespace', { status: { phase: 'Active' } }, 'healthy'],
];

for (const [name, what, parts, health, message] of rows) {
  test(`calls a ${what.split(' ')[1]} ${name} ${health}`, () => {
    const found = healthOf(object(what, parts));
    assert.is(found.health, health, found.message);
    if (message) assert.match(found.message, message);
    if (health === 'healthy') assert.is(found.message, '');
  });
}

test('calls what is being deleted progressing, whatever it is', () => {
  const metadata = { deletionTimestamp: '2030-01-01T00:00:00Z', finalizers: ['example.org/keep'] };
  const { health, message } = healthOf(object('v1 ConfigMap', {}, metadata));
  assert.is(health, 'progressing');
  assert.is(message, 'it is being deleted; waits for its finalizer example.org/keep');
});

test('survives a status of any shape', () => {
  const kinds = new Set(rows.map(([, kind]) => kind));
  for (const kind of kinds)
    for (const status of [
      null,
      3,
      'x',
      [],
      { conditions: 'x' },
      { conditions: [null, 3] },
      { phase: {}, loadBalancer: 4, containerStatuses: [null] },
    ])
      assert.ok(healthOf(object(kind, { status, spec: status })).health);
});

test.run();

function object(what: string, parts: object, metadata: Partial<Metadata> = {}): KubeObject {
  const [apiVersion = '', kind = ''] = what.split(' ');
  return { apiVersion, kind, metadata: { name: 'x', generation: 2, ...metadata }, ...parts };
}
