import { setTimeout as delay } from 'node:timers/promises';
import pino from 'pino';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createMeddler } from '../../test/agent/foreign-writer.ts';
import { configMap, connect, idOfMap, type Lab, openReal, openSimulated, until } from '../../test/agent/test-agent.ts';
import { type Cutter, startCutter } from '../../test/agent/watch-cutter.ts';
import { needs } from '../../test/runner/needs.ts';
import { idOf, type KubeObject, stackLabel } from '../object/kube-object.ts';
import { createInformers, type Informers } from './informer.ts';

const simulated = suite('watches, simulated cluster');
const real = suite('watches, real API server');
const shortLived = await openSimulated({ historySize: 50 });
describe(simulated, shortLived, await startCutter(shortLived));
if (needs('go')) describe(real, await openReal());
simulated.run();
real.run();

function describe(test: typeof simulated, lab: Lab, line?: Cutter): void {
  const { hand } = lab;
  const foreignWriter = createMeddler(lab);
  const closing: (() => Promise<void>)[] = [];
  const open = ({ namespace = '', maxWatchMs = 270_000, source = lab.source } = {}) => {
    const cluster = connect(source);
    const told: string[] = [];
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
          told.push(`changed ${idOf(object).name}`);
        },
        onDelete: (object) => told.push(`gone ${idOf(object).name}`),
        onList: ({ kind }, keys) => told.push(`listed ${keys.size} ${kind}`),
      },
    });
    closing.push(async () => {
      await watches.close();
      cluster.close();
    });
    return { watches, told, objects };
  };
  const isUp = ({ counts }: Informers) => counts.up > 0 && counts.down === 0;
  const maps = { apiVersion: 'v1', kind: 'ConfigMap' };
  const labelled = (name: string, namespace = 'default') => {
    const object = configMap(name, { k: '1' }, namespace);
    return { ...object, metadata: { ...object.metadata, labels: { [stackLabel]: 'some-stack' } } };
  };
  test.after.each(async () => {
    await Promise.all(closing.splice(0).map((close) => close()));
    for (const map of await hand.list(maps, 'default'))
      if (map.metadata.labels?.[stackLabel]) await hand.remove(idOf(map));
  });
  test.after(async () => {
    await line?.close();
    await lab.close();
  });

  test('tells what is there, then what happens, of labelled objects alone', async () => {
    await hand.create(labelled('here'));
    await hand.create(configMap('stranger', { k: '1' }, 'default'));
    const { watches, told } = open();
    watches.follow([maps]);
    await until(() => isUp(watches), 'the watch');
    assert.equal(told, ['changed here', 'listed 1 ConfigMap']);
    await hand.create(labelled('later'));
    await foreignWriter.patch(idOfMap('here'), { data: { k: '2' } });
    await foreignWriter.patch(idOfMap('here'), { metadata: { labels: { [stackLabel]: null } } });
    await hand.remove(idOfMap('later'));
    await until(() => told.length === 6, 'four changes');
    assert.equal(told.slice(2), ['changed later', 'changed here', 'gone here', 'gone later']);
    await hand.remove(idOfMap('here'));
    await hand.remove(idOfMap('stranger'));
  });

  test('asks for nothing but the metadata of what may be secret', async () => {
    const { watches, objects } = open();
    await hand.create({ ...labelled('hidden'), kind: 'Secret', data: { k: 'MQ==' } });
    watches.follow([{ apiVersion: 'v1', kind: 'Secret' }]);
    await until(() => objects.length === 1, 'the Secret');
    assert.is(objects[0]?.kind, 'Secret');
    assert.is(objects[0]?.apiVersion, 'v1');
    // The simulated API knows no other form than the whole one.
    if (!lab.simulated) assert.is(objects[0]?.data, undefined);
    await hand.remove({ ...idOfMap('hidden'), kind: 'Secret' });
  });

  test('goes on where it was when the server ends a watch', async () => {
    const { watches, told } = open({ maxWatchMs: 1_500 });
    watches.follow([maps]);
    await until(() => isUp(watches), 'the watch');
    for (let number = 0; number < 12; number++) {
      await hand.create(labelled(`round-${number}`));
      await delay(250);
    }
    await until(() => told.length >= 13, 'all changes');
    assert.is(told.filter((line) => line.startsWith('listed')).length, 1);
    assert.is(new Set(told).size, told.length, 'nothing is told twice');
  });

  test('watches only what it was told last, and forgets the rest', async () => {
    const { watches, told } = open();
    watches.follow([maps, { apiVersion: 'apps/v1', kind: 'Deployment' }]);
    await until(() => watches.counts.up === 2, 'two watches');
    watches.follow([{ apiVersion: 'apps/v1', kind: 'Deployment' }]);
    assert.equal(watches.counts, { up: 1, down: 0 });
    await hand.create(labelled('unseen'));
    await delay(300);
    assert.not.ok(told.includes('changed unseen'));
  });

  test('stays within its namespace', async () => {
    await hand.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'elsewhere' } });
    await hand.create(labelled('there', 'elsewhere'));
    const { watches, told } = open({ namespace: 'default' });
    watches.follow([maps]);
    await until(() => isUp(watches), 'the watch');
    await hand.create(labelled('mine'));
    await until(() => told.length === 2, 'its own');
    assert.equal(told, ['listed 0 ConfigMap', 'changed mine']);
    await hand.remove(idOfMap('there', 'elsewhere'));
  });

  test('waits for a kind that is not served yet', async () => {
    const { watches, told } = open();
    watches.follow([{ apiVersion: 'example.org/v1', kind: 'Gadget' }]);
    await delay(200);
    assert.equal(watches.counts, { up: 0, down: 1 });
    await hand.create(definition());
    await until(() => told.length > 0, 'the kind', 60_000);
    assert.equal(told, ['listed 0 Gadget']);
  });

  if (!lab.simulated || !line) return;
  const { faults, put } = lab.simulated;

  test('lists again when its version is too old, and tells what is gone', async () => {
    await hand.create(labelled('kept'));
    await hand.create(labelled('lost'));
    const { watches, told } = open({ source: line.source });
    watches.follow([maps]);
    await until(() => isUp(watches), 'the watch');
    line.part();
    await until(() => watches.counts.down === 1, 'the watch to be down');
    await hand.remove(idOfMap('lost'));
    for (let number = 0; number < 200; number++)
      put({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'noise' }, data: { number: String(number) } });
    line.join();
    await until(() => told.includes('listed 1 ConfigMap'), 'a new list');
    await hand.create(labelled('fresh'));
    await until(() => told.includes('changed fresh'), 'the watch to go on');
  });

  test('goes on after lost connections, without a new list', async () => {
    const { watches, told } = open({ source: line.source });
    watches.follow([maps]);
    await until(() => isUp(watches), 'the watch');
    line.cut();
    await hand.create(labelled('after'));
    await until(() => told.includes('changed after'), 'the change');
    assert.is(told.filter((line) => line.startsWith('listed')).length, 1);
  });

  test('lists now and then where it may list, but not watch', async () => {
    const heal = faults.add({ pathIncludes: 'watch=true', status: 403 });
    const { watches, told } = open();
    watches.follow([maps]);
    await until(() => told.length >= 2, 'two lists');
    await hand.create(labelled('polled'));
    await until(() => told.includes('changed polled'), 'the change');
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
