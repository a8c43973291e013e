import { setTimeout as delay } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { stackId } from '../../test/agent/test-agent.ts';
import { checksumAnnotation, idOf, type KubeObject, keyOf, stackLabel } from '../object/kube-object.ts';
import type { Entry } from '../target/target-state.ts';
import { createObjectCache } from './object-cache.ts';

const test = suite('cache of the objects that passes and watches see');
const stack = stackId('seen');
const id = idOf(live(1));
const key = keyOf(id);
const desired = [{ id, object: live(1), checksum: 'c' }];

function open(drift: Entry['drift'] = 'repair') {
  const announced: string[] = [];
  const objectCache = createObjectCache({
    objectsChanged: (stackId) => announced.push(stackId),
    objectSeen: () => {},
    kindsChanged: () => {},
    gatherMs: 10,
    intervalMs: 50,
  });
  const entry = { stackId: stack, deploymentId: 'd', generation: 1n, drift } as Entry;
  const read = (object: KubeObject | undefined, readAt = performance.now()) =>
    objectCache.read(entry, desired, new Map(object ? [[key, object]] : []), readAt, () => stack);
  return { objectCache, announced, read };
}

test('does not take a pass’s own write for drift when the watch delivers it before the answer', async () => {
  const { objectCache, announced, read } = open();
  read(undefined);
  const askedAt = performance.now();
  objectCache.onChange(live(1));
  objectCache.wrote(stack, live(1), askedAt);
  await delay(40);
  assert.equal(announced, []);
});

test('does not lose a change that arrives while a pass reads', async () => {
  const { objectCache, announced, read } = open();
  read(live(1));
  const readAt = performance.now();
  objectCache.onChange(live(2));
  // The pass has read the object before the change.
  read(live(1), readAt);
  await delay(40);
  assert.equal(announced, [stack]);
});

test('announces a change once that is older than what the next pass reads', async () => {
  const { objectCache, announced, read } = open();
  read(live(2));
  objectCache.onChange(live(1));
  await delay(40);
  assert.equal(announced, [stack]);
  read(live(2));
  await delay(120);
  assert.equal(announced, [stack], 'the pass has read a later state');
});

test('announces many changes once, and no changes of status', async () => {
  const { objectCache, announced, read } = open();
  read(live(1));
  for (let number = 2; number < 50; number++) objectCache.onChange(live(number));
  objectCache.onChange({ ...live(49), status: { phase: 'Bound' } });
  await delay(40);
  assert.equal(announced, [stack]);
  read(live(49));
  objectCache.onChange({ ...live(49), status: { phase: 'Lost' } });
  await delay(80);
  assert.equal(announced, [stack]);
});

test('announces nothing where drift is ignored, nor changes of objects that no stack desires', async () => {
  const { objectCache, announced, read } = open('ignore');
  read(live(1));
  objectCache.onChange(live(2));
  const stranger = live(1);
  objectCache.onChange({ ...stranger, metadata: { ...stranger.metadata, name: 'copy' } });
  await delay(40);
  assert.equal(announced, []);
});

test('notices in a list which objects are gone', async () => {
  const { objectCache, announced, read } = open();
  read(live(1));
  objectCache.onList({ apiVersion: 'v1', kind: 'Secret' }, new Set());
  await delay(40);
  assert.equal(announced, []);
  objectCache.onList({ apiVersion: 'v1', kind: 'ConfigMap' }, new Set());
  await delay(40);
  assert.equal(announced, [stack]);
});

test('announces a change to the owner of an object until another stack that lists it has written it', async () => {
  const { objectCache, announced, read } = open();
  const other = stackId('lists-it');
  const entry = { stackId: other, deploymentId: 'd', generation: 1n, drift: 'repair' } as Entry;
  const readOther = () => objectCache.read(entry, desired, new Map([[key, live(1)]]), performance.now(), () => stack);
  read(live(1));
  readOther();
  objectCache.onChange(live(2));
  await delay(40);
  assert.equal(announced, [stack]);
  objectCache.forget(other);
  assert.is(objectCache.size, 1, 'an object that another stack drops stays with its owner');
  readOther();
  objectCache.wrote(other, live(3), performance.now());
  objectCache.onChange(live(4));
  await delay(40);
  assert.equal(announced, [stack, other]);
});

test('keeps nothing of a forgotten stack', () => {
  const { objectCache, read } = open();
  read(live(1));
  assert.is(objectCache.size, 1);
  objectCache.forget(stack);
  assert.is(objectCache.size, 0);
  assert.is(objectCache.get(stack), undefined);
  assert.equal(objectCache.kinds(), []);
});

test.run();

/** Builds the live object after a change; each change moves other fields to other managers. */
function live(time: number): KubeObject {
  const managedFields = [{ manager: 'brokkr', operation: 'Apply', fieldsV1: { [`f:${time}`]: {} } }];
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: {
      name: 'one',
      namespace: 'default',
      uid: 'u',
      labels: { [stackLabel]: stack },
      annotations: { [checksumAnnotation]: 'c' },
      managedFields,
    },
  };
}
