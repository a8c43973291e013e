import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { deployment, testConfigMap, withOrder } from '../../test/agent/wave-objects.ts';
import { idOf, type KubeObject } from '../object/kube-object.ts';
import { orderFaults, wavesOf } from './waves.ts';

const rules = suite('waves');

const placed = (object: KubeObject) => ({ id: idOf(object), object });
const order = (objects: readonly KubeObject[]) =>
  wavesOf(objects.map(placed), (one) => one).map(({ number, groups }) => [
    number,
    groups.map((group) => group.map(({ id }) => id.name).join(' ')),
  ]);
const faults = (objects: readonly KubeObject[]) => orderFaults(objects.map(placed)).map(({ message }) => message);

rules('sorts by number, then by what comes after what, then by kind', () => {
  const objects = [
    withOrder(deployment('web'), {}),
    withOrder(testConfigMap('late'), { wave: '2' }),
    withOrder(testConfigMap('settings'), {}),
    withOrder(testConfigMap('after-web'), { after: 'Deployment/web' }),
    withOrder(testConfigMap('last'), { after: '/ConfigMap/default/after-web' }),
    withOrder(testConfigMap('early'), { wave: '-1' }),
  ];
  assert.equal(faults(objects), []);
  assert.equal(order(objects), [
    [-1, ['early']],
    [0, ['settings', 'web', 'after-web', 'last']],
    [2, ['late']],
  ]);
});

rules('names what is unknown, ambiguous, no number, later or a cycle', () => {
  assert.equal(faults([withOrder(testConfigMap('a'), { after: 'ConfigMap/b' })]), [
    'is to be applied after ConfigMap/b, which this stack does not have',
  ]);
  assert.equal(faults([withOrder(testConfigMap('a'), { after: 'apps/Deployment/web' })]), [
    'is to be applied after apps/Deployment/web, which this stack does not have',
  ]);
  assert.equal(faults([withOrder(testConfigMap('a'), { wave: 'first' })]), [
    'its k8s.brokkr.io/wave is not a whole number',
  ]);
  assert.match(
    faults([
      withOrder(testConfigMap('a'), { after: 'ConfigMap/b' }),
      withOrder(testConfigMap('b'), { wave: '3' }),
    ]).join(),
    'later wave 3',
  );
  const cycle = [
    testConfigMap('free'),
    withOrder(testConfigMap('entry'), { after: 'ConfigMap/a' }),
    withOrder(testConfigMap('a'), { after: 'ConfigMap/b' }),
    withOrder(testConfigMap('b'), { after: 'ConfigMap/c,ConfigMap/free' }),
    withOrder(testConfigMap('c'), { after: 'ConfigMap/a' }),
  ];
  const [first, ...more] = faults(cycle);
  assert.equal(more, []);
  const names = ['a', 'b', 'c', 'a'].map((name) => `ConfigMap default/${name}`).join(', ');
  assert.is(first, `each is to be applied after the next: ${names}`);
  assert.is(order(cycle).length, 1, 'a cycle does not hinder a removal');
});

rules('sorts a chain as long as a manifest can be, and finds the cycle that it may end in', () => {
  const count = 5_000;
  const link = (index: number, after: number) =>
    withOrder(testConfigMap(`m${index}`), { after: `ConfigMap/m${after}` });
  const chain = [
    testConfigMap('m0'),
    ...Array.from({ length: count - 1 }, (_, index) => link(index + 1, index)),
  ].reverse();
  assert.equal(faults(chain), []);
  assert.equal(order(chain), [[0, Array.from({ length: count }, (_, index) => `m${index}`)]]);
  const closed = [...chain.slice(0, -1), link(0, count - 1)];
  const [first, ...more] = faults(closed);
  assert.equal(more, []);
  assert.is(first?.split(', ').length, count + 1);
});

rules('counts an object that is named twice once', () => {
  const twice = withOrder(testConfigMap('b'), { after: 'ConfigMap/a,/ConfigMap/default/a' });
  assert.equal(order([twice, testConfigMap('a')]), [[0, ['a', 'b']]]);
});

rules('refuses an object that comes after too many', () => {
  const others = Array.from({ length: 101 }, (_, index) => testConfigMap(`m${index}`));
  const after = (count: number) =>
    withOrder(testConfigMap('last'), {
      after: others
        .slice(0, count)
        .map(({ metadata }) => `ConfigMap/${metadata.name}`)
        .join(),
    });
  assert.equal(faults([...others, after(100)]), []);
  assert.equal(faults([...others, after(101)]), ['is to be applied after 101 objects, more than 100']);
});

rules.run();
