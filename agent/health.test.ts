import { setTimeout as delay } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { needs } from '../test/needs.ts';
import {
  type Core,
  type CoreOptions,
  configMap,
  idOfMap,
  type Lab,
  openReal,
  openSimulated,
  stackId,
  startCore,
  until,
  type Wish,
} from './harness.ts';
import type { Health, StackHealth } from './health.ts';
import { createMeddler } from './meddler.ts';
import type { KubeObject, ObjectId } from './object.ts';

const simulated = suite('health of a stack, simulated cluster');
const real = suite('health of a stack, real API server');
describe(simulated, await openSimulated({ pods: true }));
if (needs('go')) describe(real, await openReal());
simulated.run();
real.run();

function describe(test: typeof simulated, lab: Lab): void {
  const { hand } = lab;
  const meddler = createMeddler(lab);
  const cores: Core[] = [];
  let count = 0;
  let stack = '';
  const startWith = async (wish: Omit<Wish, 'stackId'>, options: CoreOptions = {}) => {
    const core = await startCore(lab.source, { namespace: `brokkr-${++count}`, ...options });
    cores.push(core);
    core.tell([{ stackId: stack, deploymentId: 'first', ...wish }]);
    return core;
  };
  const healthOf = (core: Core) => core.awareness.keeper.healthOf(stack);
  const becomes = async (core: Core, health: Health, message = /.*/): Promise<StackHealth> => {
    const isSo = () => {
      const now = healthOf(core);
      return now?.health === health && message.test(now.message);
    };
    await until(isSo, `${health} ${message}`).catch((error: unknown) => {
      throw new Error(`${String(error)}: ${JSON.stringify(healthOf(core))}`);
    });
    return healthOf(core)!;
  };
  const podsOf = async (app: string) =>
    (await hand.list({ apiVersion: 'v1', kind: 'Pod' }, 'default')).filter(
      ({ metadata }) => metadata.labels?.app === app,
    );
  const status = (id: ObjectId, parts: object) => meddler.patchStatus(id, parts);
  test.before.each(() => {
    stack = stackId(`health ${count}`);
  });
  test.after.each(async () => {
    await Promise.all(cores.splice(0).map((core) => core.close()));
  });
  test.after(() => lab.close());

  test('is healthy when everything is there, and says how much was looked at', async () => {
    const core = await startWith({ objects: [configMap('there-a', {}), configMap('there-b', {})] });
    const { objects, objectCount, deploymentId, generation } = await becomes(core, 'healthy');
    assert.equal(
      { objects, objectCount, deploymentId, generation },
      { objects: [], objectCount: 2, deploymentId: 'first', generation: 1n },
    );
  });

  test('follows a workload by watching, and names the pod that keeps it from being ready', async () => {
    // The simulated cluster pulls images whose names do not say otherwise; nobody runs pods on the real one.
    const image = lab.simulated ? 'web:does-not-exist' : 'web:1';
    const core = await startWith({ objects: [configMap('beside', {}), web('ill', 3, image)] });
    await until(async () => (await podsOf('ill')).length === 3, 'three pods');
    if (!lab.simulated) {
      const [first, second] = (await podsOf('ill')) as [KubeObject, KubeObject];
      await status(idOfPod(first), { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] });
      await status(idOfPod(second), {
        containerStatuses: [waiting('ImagePullBackOff', 'Back-off pulling image "web:1"')],
      });
    }
    const ready = lab.simulated ? 0 : 1;
    const message = new RegExp(
      `^Deployment default/ill: ${ready} of 3 replicas ready; pod ill-[^ ]+: ImagePullBackOff: Back-off pulling image`,
    );
    const { objects } = await becomes(core, 'failed', message);
    assert.equal(
      objects.map(({ object, health }) => [object.kind, object.name, health]),
      [['Deployment', 'ill', 'failed']],
    );
  });

  test('becomes healthy by itself when its workload does', async () => {
    const core = await startWith({ objects: [web('fine', 1)] });
    if (!lab.simulated) {
      await becomes(core, 'progressing');
      await until(async () => (await podsOf('fine')).length === 1, 'a pod');
      const [pod] = (await podsOf('fine')) as [KubeObject];
      await status(idOfPod(pod), { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] });
    }
    await becomes(core, 'healthy');
    assert.is(core.events.length, 1, 'status is no drift');
    if (lab.simulated) return;
    const [pod] = (await podsOf('fine')) as [KubeObject];
    await status(idOfPod(pod), {
      conditions: [{ type: 'Ready', status: 'False' }],
      containerStatuses: [waiting('CrashLoopBackOff', 'back-off 5m0s', 7)],
    });
    await becomes(core, 'failed', /0 of 1 replicas ready; pod fine-[^ ]+: CrashLoopBackOff: back-off 5m0s/);
  });

  test('judges custom resources by their conditions', async () => {
    const core = await startWith({
      objects: [definition(), { apiVersion: 'example.org/v1', kind: 'Gizmo', metadata: { name: 'one' } }],
    });
    await becomes(core, 'healthy');
    const id = { apiVersion: 'example.org/v1', kind: 'Gizmo', namespace: 'default', name: 'one' };
    await meddler.patchStatus(id, {
      conditions: [{ type: 'Ready', status: 'False', reason: 'Waits', message: 'for its database' }],
    });
    await becomes(core, 'progressing', /^Gizmo default\/one: it is not ready: for its database$/);
    await meddler.patchStatus(id, { conditions: [{ type: 'Stalled', status: 'True', reason: 'NoSuchChart' }] });
    await becomes(core, 'failed', /NoSuchChart/);
  });

  test('says that an object is gone where drift is only reported', async () => {
    const core = await startWith({ drift: 'report', objects: [configMap('lost', {})] });
    await becomes(core, 'healthy');
    await hand.remove(idOfMap('lost'));
    await becomes(core, 'failed', /^ConfigMap default\/lost: it is gone$/);
  });

  test('is about the deployment that is to be, not the one that was', async () => {
    const core = await startWith({ objects: [configMap('next', { k: '1' })] });
    await becomes(core, 'healthy');
    const bad: KubeObject = {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'refused', namespace: 'no-such' },
    };
    core.tell([{ stackId: stack, deploymentId: 'second', order: 2n, objects: [configMap('next', { k: '2' }), bad] }]);
    const { objects, deploymentId } = await becomes(core, 'progressing', /not applied yet/);
    assert.is(deploymentId, 'second');
    assert.is(objects.length, 2);
  });

  test('is unknown while the cluster cannot be asked, and known again after', async () => {
    let outage: string | undefined;
    const core = await startWith({ objects: [configMap('dark', {})] }, { outage: () => outage });
    await becomes(core, 'healthy');
    outage = 'the Kubernetes API does not answer';
    await becomes(core, 'unknown', /^the Kubernetes API does not answer$/);
    outage = undefined;
    await becomes(core, 'healthy');
  });

  test('ends with the stack', async () => {
    const core = await startWith({ objects: [configMap('over', {})] });
    await becomes(core, 'healthy');
    const told = core.next(stack, 'removed');
    core.tell([{ stackId: stack, state: 'removing', generation: 2n, order: 2n }]);
    await told;
    assert.is(healthOf(core), undefined);
    await delay(150);
    assert.equal(core.awareness.watches.counts, { up: 0, down: 0 });
  });
}

function waiting(reason: string, message: string, restartCount = 0) {
  const image = { image: 'web:1', imageID: '' };
  return { name: 'web', ready: false, restartCount, ...image, state: { waiting: { reason, message } } };
}

function idOfPod({ metadata }: KubeObject): ObjectId {
  return { apiVersion: 'v1', kind: 'Pod', namespace: 'default', name: metadata.name };
}

function web(name: string, replicas: number, image = 'web:1'): KubeObject {
  const labels = { app: name };
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name },
    spec: {
      replicas,
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers: [{ name: 'web', image }] } },
    },
  };
}

function definition(): KubeObject {
  const names = { plural: 'gizmos', singular: 'gizmo', kind: 'Gizmo', listKind: 'GizmoList' };
  const schema = { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } };
  const version = { name: 'v1', served: true, storage: true, schema, subresources: { status: {} } };
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: 'gizmos.example.org' },
    spec: { group: 'example.org', scope: 'Namespaced', names, versions: [version] },
  };
}
