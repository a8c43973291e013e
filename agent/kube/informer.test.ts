import { setTimeout as delay } from 'node:timers/promises';
import pino from 'pino';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createForeignWriter } from '../../test/agent/foreign-writer.ts';
import { type InterruptibleCluster, startInterruptible } from '../../test/agent/interruptible-cluster.ts';
import {
  configMap,
  configMapId,
  connect,
  openRealCluster,
  openSimulatedCluster,
  type TestCluster,
  until,
} from '../../test/agent/test-agent.ts';
import { needs } from '../../test/runner/needs.ts';
import { idOf, type KubeObject, stackLabel } from '../object/kube-object.ts';
import { createInformers, type Informers } from './informer.ts';

const simulated = suite('watches, simulated cluster');
const real = suite('watches, real API server');
const shortLived = await openSimulatedCluster({ historySize: 50 });
describe(simulated, shortLived, await startInterruptible(shortLived));
if (needs('go')) describe(real, await openRealCluster());
simulated.run();
real.run();

function describe(test: typeof simulated, testCluster: TestCluster, line?: InterruptibleCluster): void {
  const { admin } = testCluster;
  const foreignWriter = createForeignWriter(testCluster);
  const closing: (() => Promise<void>)[] = [];
  const open = ({ namespace = '', maxWatchMs = 270_000, source = testCluster.source } = {}) => {
    const cluster = connect(source);
    const reported: string[] = [];
    const objects: KubeObject[] = [];
    const watches = createInformers({
      cluster,
      namespace,
      log: pino({ level: 'silent' }),
      maxWatchMs,
      pollMs: 200,
      retry: { baseMs: 20, maxMs: 100 },
      handler: {
        onChange: (object) => {
          objects.push(object);
          reported.push(`changed ${idOf(object).name}`);
        },
        onDelete: (object) => reported.push(`gone ${idOf(object).name}`),
        onList: ({ kind }, keys) => reported.push(`listed ${keys.size} ${kind}`),
      },
    });
    closing.push(async () => {
      await watches.close();
      cluster.close();
    });
    return { watches, reported, objects };
  };
  const isUp = ({ counts }: Informers) => counts.up > 0 && counts.down === 0;
  const maps = { apiVersion: 'v1', kind: 'ConfigMap' };
  const labelled = (name: string, namespace = 'default') => {
    const object = configMap(name, { k: '1' }, namespace);
    return { ...object, metadata: { ...object.metadata, labels: { [stackLabel]: 'some-stack' } } };
  };
  test.after.each(async () => {
    await Promise.all(closing.splice(0).map((close) => close()));
    for (const map of await admin.list(maps, 'default'))
      if (map.metadata.labels?.[stackLabel]) await admin.remove(idOf(map));
  });
  test.after(async () => {
    await line?.close();
    await testCluster.close();
  });

  test('tells what is there, then what happens, of labelled objects alone', async () => {
    await admin.create(labelled('here'));
    await admin.create(configMap('stranger', { k: '1' }, 'default'));
    const { watches, reported } = open();
    watches.follow([maps]);
    await until(() => isUp(watches), 'the watch');
    assert.equal(reported, ['changed here', 'listed 1 ConfigMap']);
    await admin.create(labelled('later'));
    await foreignWriter.patch(configMapId('here'), { data: { k: '2' } });
    await foreignWriter.patch(configMapId('here'), { metadata: { labels: { [stackLabel]: null } } });
    await admin.remove(configMapId('later'));
    await until(() => reported.length === 6, 'four changes');
    assert.equal(reported.slice(2), ['changed later', 'changed here', 'gone here', 'gone later']);
    await admin.remove(configMapId('here'));
    await admin.remove(configMapId('stranger'));
  });

  test('asks for nothing but the metadata of what may be secret', async () => {
    const { watches, objects } = open();
    await admin.create({ ...labelled('hidden'), kind: 'Secret', data: { k: 'MQ==' } });
    watches.follow([{ apiVersion: 'v1', kind: 'Secret' }]);
    await until(() => objects.length === 1, 'the Secret');
    assert.is(objects[0]?.kind, 'Secret');
    assert.is(objects[0]?.apiVersion, 'v1');
    // The simulated API knows no other form than the whole one.
    if (!testCluster.simulated) assert.is(objects[0]?.data, undefined);
    await admin.remove({ ...configMapId('hidden'), kind: 'Secret' });
  });

  test('goes on where it was when the server ends a watch', async () => {
    const { watches, reported } = open({ maxWatchMs: 1_500 });
    watches.follow([maps]);
    await until(() => isUp(watches), 'the watch');
    for (let number = 0; number < 12; number++) {
      await admin.create(labelled(`round-${number}`));
      await delay(250);
    }
    await until(() => reported.length >= 13, 'all changes');
    assert.is(reported.filter((line) => line.startsWith('listed')).length, 1);
    assert.is(new Set(reported).size, reported.length, 'nothing is told twice');
  });

  test('watches only what it was told last, and forgets the rest', async () => {
    const { watches, reported } = open();
    watches.follow([maps, { apiVersion: 'apps/v1', kind: 'Deployment' }]);
    await until(() => watches.counts.up === 2, 'two watches');
    watches.follow([{ apiVersion: 'apps/v1', kind: 'Deployment' }]);
    assert.equal(watches.counts, { up: 1, down: 0 });
    await admin.create(labelled('unseen'));
    await delay(300);
    assert.not.ok(reported.includes('changed unseen'));
  });

  test('stays within its namespace', async () => {
    await admin.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'elsewhere' } });
    await admin.create(labelled('there', 'elsewhere'));
    const { watches, reported } = open({ namespace: 'default' });
    watches.follow([maps]);
    await until(() => isUp(watches), 'the watch');
    await admin.create(labelled('mine'));
    await until(() => reported.length === 2, 'its own');
    assert.equal(reported, ['listed 0 ConfigMap', 'changed mine']);
    await admin.remove(configMapId('there', 'elsewhere'));
  });

  test('waits for a kind that is not served yet', async () => {
    const { watches, reported } = open();
    watches.follow([{ apiVersion: 'example.org/v1', kind: 'Gadget' }]);
    await delay(200);
    assert.equal(watches.counts, { up: 0, down: 1 });
    await admin.create(definition());
    await until(() => reported.length > 0, 'the kind', 60_000);
    assert.equal(reported, ['listed 0 Gadget']);
  });

  if (!testCluster.simulated || !line) return;
  const { faults, put } = testCluster.simulated;

  test('lists again when its version is too old, and tells what is gone', async () => {
    await admin.create(labelled('kept'));
    await admin.create(labelled('lost'));
    const { watches, reported } = open({ source: line.source });
    watches.follow([maps]);
    await until(() => isUp(watches), 'the watch');
    line.disconnect();
    await until(() => watches.counts.down === 1, 'the watch to be down');
    await admin.remove(configMapId('lost'));
    for (let number = 0; number < 200; number++)
      put({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'noise' }, data: { number: String(number) } });
    line.reconnect();
    await until(() => reported.includes('listed 1 ConfigMap'), 'a new list');
    await admin.create(labelled('fresh'));
    await until(() => reported.includes('changed fresh'), 'the watch to go on');
  });

  test('goes on after lost connections, without a new list', async () => {
    const { watches, reported } = open({ source: line.source });
    watches.follow([maps]);
    await until(() => isUp(watches), 'the watch');
    line.cut();
    await admin.create(labelled('after'));
    await until(() => reported.includes('changed after'), 'the change');
    assert.is(reported.filter((line) => line.startsWith('listed')).length, 1);
  });

  test('lists now and then where it may list, but not watch', async () => {
    const heal = faults.add({ pathIncludes: 'watch=true', status: 403 });
    const { watches, reported } = open();
    watches.follow([maps]);
    await until(() => reported.length >= 2, 'two lists');
    await admin.create(labelled('polled'));
    await until(() => reported.includes('changed polled'), 'the change');
    heal();
  });
}

function definition(): KubeObject {
  const names = { plural: 'gadgets', singular: 'gadget', kind: 'Gadget', listKind: 'GadgetList' };
  const schema = { openAPIV3Schema: { type: 'object' } };
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: 'gadgets.example.org' },
    spec: {
      group: 'example.org',
      scope: 'Namespaced',
      names,
      versions: [{ name: 'v1', served: true, storage: true, schema }],
    },
  };
}
