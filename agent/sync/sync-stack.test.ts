import { setTimeout as delay } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type ClusterContext, onBothClusters } from '../../test/agent/both-clusters.ts';
import { configMap, configMapId, stackId, until } from '../../test/agent/test-agent.ts';
import { needs } from '../../test/runner/needs.ts';
import { type KubeObject, textAt } from '../object/kube-object.ts';

const simulated = suite('serving a stack, simulated cluster');
const real = suite('serving a stack, real API server');
await onBothClusters(simulated, needs('go') && real, describe);
simulated.run();
real.run();

function describe(test: typeof simulated, { testCluster, admin, agents, start }: ClusterContext): void {
  const stack = stackId('one');

  test('applies what is told, and tells what was created', async () => {
    const testAgent = await start();
    const reported = testAgent.nextEvent(stack);
    testAgent.setTarget([
      { stackId: stack, objects: [configMap('first-a', { k: '1' }), configMap('first-b', { k: '1' })] },
    ]);
    const { outcome, changes } = await reported;
    assert.is(outcome, 'applied');
    assert.equal(changes.map(({ object, action }) => `${action} ${object.name}`).sort(), [
      'created first-a',
      'created first-b',
    ]);
    const live = await admin.get(configMapId('first-a'));
    assert.is(live?.metadata.labels?.['k8s.brokkr.io/stack-id'], stack);
    assert.is(live?.metadata.managedFields?.[0]?.manager, 'brokkr');
  });

  test('leaves an applied stack alone, however often it is told or looked at', async () => {
    const testAgent = await start({ resyncMs: 30 });
    const target = { stackId: stack, objects: [configMap('alone', { k: '1' }), workload('alone', 1)] };
    const reported = testAgent.nextEvent(stack);
    testAgent.setTarget([target]);
    await reported;
    const written = testAgent.writes.length;
    for (let times = 0; times < 3; times++) testAgent.setTarget([target]);
    // Some looks of the resync.
    await delay(300);
    await testAgent.settled();
    assert.is(testAgent.writes.length, written);
    assert.is(testAgent.events.length, 1);
  });

  test('writes one object for a change of one field', async () => {
    const testAgent = await start();
    const objects = Array.from({ length: 12 }, (_, index) => configMap(`field-${index}`, { k: '1' }));
    let reported = testAgent.nextEvent(stack);
    testAgent.setTarget([{ stackId: stack, order: 1n, objects }]);
    await reported;
    testAgent.writes.length = 0;
    reported = testAgent.nextEvent(stack);
    testAgent.setTarget([{ stackId: stack, order: 2n, objects: objects.with(3, configMap('field-3', { k: '2' })) }]);
    await reported;
    assert.equal(testAgent.objectWrites(), ['apply ConfigMap default/field-3']);
    assert.equal((await admin.get(configMapId('field-3')))?.data, { k: '2' });
  });

  test('does not take another spelling for another value', async () => {
    const testAgent = await start({ resyncMs: 30 });
    const container = { name: 'web', image: 'web:1', resources: { requests: { cpu: '1000m', memory: '1024Mi' } } };
    const secret: KubeObject = {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'spelled' },
      stringData: { a: 'b' },
    };
    const reported = testAgent.nextEvent(stack);
    testAgent.setTarget([{ stackId: stack, objects: [workload('spelled', 1, container), secret] }]);
    await reported;
    // A status that is written between two looks may make one of them apply once more; a value that is misread does it each time.
    await until(async () => {
      testAgent.writes.length = 0;
      await delay(300);
      return testAgent.objectWrites().length === 0;
    }, 'a while without a write');
  });

  test('retries what failed until its cause is gone, and tells each outcome once', async () => {
    const testAgent = await start();
    const failed = testAgent.nextEvent(stack, 'failed');
    testAgent.setTarget([
      { stackId: stack, objects: [configMap('early', { k: '1' }, 'comes-later'), configMap('not-yet', { k: '1' })] },
    ]);
    assert.match(
      (await failed).message,
      /nothing was applied: ConfigMap comes-later\/early: namespaces "comes-later" not found/,
    );
    assert.is(await admin.get(configMapId('not-yet')), undefined, 'a failed dry run changes nothing');
    await delay(300);
    const applied = testAgent.nextEvent(stack, 'applied');
    await admin.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'comes-later' } });
    await applied;
    assert.equal(
      testAgent.events.map(({ outcome }) => outcome),
      ['failed', 'applied'],
    );
  });

  test('applies a definition and its custom resource in one go', async () => {
    const testAgent = await start();
    const reported = testAgent.nextEvent(stack);
    testAgent.setTarget([{ stackId: stack, objects: [widget('w1'), definition('widgets')] }]);
    const event = await reported;
    assert.is(event.outcome, 'applied', event.message);
    assert.ok(await admin.get({ apiVersion: 'example.org/v1', kind: 'Widget', namespace: 'default', name: 'w1' }));
  });

  test('applies a namespace and what is in it in one go', async () => {
    const testAgent = await start();
    const reported = testAgent.nextEvent(stack);
    const namespace: KubeObject = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'roomy' } };
    testAgent.setTarget([{ stackId: stack, objects: [configMap('inside', { k: '1' }, 'roomy'), namespace] }]);
    const event = await reported;
    assert.is(event.outcome, 'applied', event.message);
    assert.ok(await admin.get(configMapId('inside', 'roomy')));
  });

  test('leaves only the definition behind when its custom resource is refused', async () => {
    const testAgent = await start();
    const reported = testAgent.nextEvent(stack);
    const refused = { ...widget('w2', 'gadgets', 'Gadget'), spec: { size: 'not a number' } };
    testAgent.setTarget([
      { stackId: stack, objects: [definition('gadgets', 'Gadget'), refused, configMap('beside', { k: '1' })] },
    ]);
    const { outcome, message } = await reported;
    assert.is(outcome, 'failed');
    assert.match(message, /only definitions and namespaces were applied: Gadget default\/w2/);
    assert.is(await admin.get(configMapId('beside')), undefined);
  });

  test('puts back what somebody else has changed or deleted', async () => {
    const testAgent = await start({ resyncMs: 50 });
    const reported = testAgent.nextEvent(stack);
    testAgent.setTarget([
      { stackId: stack, objects: [configMap('drifting', { k: 'right' }), configMap('vanishing', { k: '1' })] },
    ]);
    await reported;
    await admin.edit(configMapId('drifting'), (live) => ({ ...live, data: { k: 'wrong' } }));
    await admin.remove(configMapId('vanishing'));
    await until(async () => {
      const [drifting, vanishing] = await Promise.all([
        admin.get(configMapId('drifting')),
        admin.get(configMapId('vanishing')),
      ]);
      return textAt(drifting, 'data', 'k') === 'right' && vanishing !== undefined;
    }, 'the repair');
  });

  test('refuses an object that is listed twice', async () => {
    const testAgent = await start();
    const reported = testAgent.nextEvent(stack);
    testAgent.setTarget([
      { stackId: stack, objects: [configMap('twice', { k: '1' }), configMap('twice', { k: '2' }, 'default')] },
    ]);
    assert.match((await reported).message, 'ConfigMap default/twice: is listed twice');
  });

  test('reports a kind that nobody serves', async () => {
    const testAgent = await start();
    const reported = testAgent.nextEvent(stack);
    testAgent.setTarget([
      { stackId: stack, objects: [{ apiVersion: 'nobody.org/v1', kind: 'Ghost', metadata: { name: 'boo' } }] },
    ]);
    assert.match((await reported).message, /Ghost boo: the cluster serves no Ghost of nobody.org\/v1/);
  });

  test('starts again from what is in the cluster', async () => {
    const first = await start();
    const target = {
      stackId: stack,
      order: 5n,
      objects: [configMap('lasting', { k: '1' }), configMap('passing', { k: '1' })],
    };
    let reported = first.nextEvent(stack);
    first.setTarget([target]);
    await reported;
    await first.close();
    const second = await start({ namespace: agents.namespace });
    assert.is(second.stacks.order, 5n);
    reported = second.nextEvent(stack);
    second.setTarget([target]);
    assert.is((await reported).outcome, 'applied', 'the report of the last run may have been lost');
    assert.equal(second.writes, []);
    reported = second.nextEvent(stack);
    second.setTarget([{ ...target, order: 6n, objects: [configMap('lasting', { k: '1' })] }]);
    await reported;
    assert.equal(second.objectWrites(), ['remove ConfigMap default/passing']);
  });

  test('freezes while it is paused', async () => {
    const testAgent = await start({ resyncMs: 20 });
    const target = (value: string, order: bigint) => [
      { stackId: stack, order, objects: [configMap('frozen', { k: value })] },
    ];
    const reported = testAgent.nextEvent(stack);
    testAgent.setTarget(target('1', 1n));
    await reported;
    testAgent.setTarget([], { paused: true });
    await admin.edit(configMapId('frozen'), (live) => ({ ...live, data: { k: 'by hand' } }));
    await delay(200);
    assert.equal((await admin.get(configMapId('frozen')))?.data, { k: 'by hand' });
    testAgent.setTarget(target('2', 2n));
    await until(async () => textAt(await admin.get(configMapId('frozen')), 'data', 'k') === '2', 'the change');
  });

  test('applies a deployment in full that is told while the one before it ends', async () => {
    const testAgent = await start();
    const target = (value: string, order: bigint) => [
      {
        stackId: stack,
        order,
        deploymentId: `d${order}`,
        drift: 'report' as const,
        objects: [configMap('overtaken', { k: value })],
      },
    ];
    const forget = testCluster.simulated?.faults.add({ method: 'PUT', pathIncludes: 'brokkr-inv-', delayMs: 500 });
    testAgent.setTarget(target('1', 1n));
    await until(() => testAgent.writes.some((write) => write.startsWith('replace ')), 'the end of the first pass');
    testAgent.setTarget(target('2', 2n));
    await until(async () => textAt(await admin.get(configMapId('overtaken')), 'data', 'k') === '2', 'the second one');
    forget?.();
  });

  test('tells a restored broker again what came of a stack', async () => {
    const testAgent = await start();
    const target = { stackId: stack, objects: [configMap('restored', { k: '1' })] };
    for (const epoch of [1n, 2n]) {
      const reported = testAgent.nextEvent(stack, 'applied');
      testAgent.setTarget([target], { epoch });
      await reported;
    }
  });
}

function workload(name: string, replicas: number, container: object = { name: 'web', image: 'web:1' }): KubeObject {
  const labels = { app: name };
  const template = { metadata: { labels }, spec: { containers: [container] } };
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name },
    spec: { replicas, selector: { matchLabels: labels }, template },
  };
}

function definition(plural: string, kind = 'Widget'): KubeObject {
  const schema = {
    type: 'object',
    properties: { spec: { type: 'object', properties: { size: { type: 'integer' } } } },
  };
  const version = { name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: schema } };
  const names = { plural, singular: kind.toLowerCase(), kind, listKind: `${kind}List` };
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.example.org` },
    spec: { group: 'example.org', scope: 'Namespaced', names, versions: [version] },
  };
}

function widget(name: string, _plural = 'widgets', kind = 'Widget'): KubeObject {
  return { apiVersion: 'example.org/v1', kind, metadata: { name }, spec: { size: 3 } };
}
