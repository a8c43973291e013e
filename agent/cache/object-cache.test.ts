import { setTimeout as delay } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { stackId } from '../../test/agent/test-agent.ts';
import { checksumAnnotation, type KubeObject, keyOf, objectIdOf, stackLabel } from '../object/kube-object.ts';
import type { Entry } from '../target/target-state.ts';
import { createObjectCache, type ObjectCache } from './object-cache.ts';

const test = suite('cache of the objects that passes and watches see');
const stack = stackId('seen');
const id = objectIdOf(live(1));
const key = keyOf(id);
const desired = [{ id, object: live(1), checksum: 'c' }];

function open(drift: Entry['drift'] = 'repair') {
  const announced: string[] = [];
  const seen: string[] = [];
  const objectCache = createObjectCache({
    objectsChanged: (stackId) => announced.push(stackId),
    objectSeen: () => {},
    passSeen: (stackId) => seen.push(stackId),
    kindsChanged: () => {},
    gatherMs: 10,
    intervalMs: 50,
  });
  const entry = { stackId: stack, deploymentId: 'd', generation: 1n, drift } as Entry;
  const read = (object: KubeObject | undefined, readAt = performance.now()) =>
    objectCache.read(entry, desired, new Map(object ? [[key, object]] : []), readAt, () => stack);
  return { objectCache, announced, seen, read };
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

test('keeps the health that the watch told last when the answer of the write arrives later', () => {
  const { objectCache, read } = open();
  read(undefined);
  const askedAt = performance.now();
  objectCache.onChange(terminating(live(1), '11'));
  objectCache.wrote(stack, versioned(live(1), '10'), askedAt);
  assert.is(healthIn(objectCache), 'progressing');
  objectCache.onChange(versioned(live(1), '12'));
  assert.is(healthIn(objectCache), 'healthy');
  objectCache.wrote(stack, terminating(live(1), '13'), askedAt);
  assert.is(healthIn(objectCache), 'progressing', 'the answer is the later state');
});

test('ignores what a watch delivers late, and believes a list that was asked for later', () => {
  const { objectCache, read } = open();
  read(terminating(live(1), '100'));
  objectCache.onChange(versioned(live(1), '99'));
  objectCache.onDelete(versioned(live(1), '9'));
  assert.is(healthIn(objectCache), 'progressing');
  // As after a restore of the cluster's database, whose versions begin lower again.
  objectCache.onChange(versioned(live(1), '50'), performance.now() + 1);
  assert.is(healthIn(objectCache), 'healthy');
});

test('does not take an object for gone that was created while the list was read', async () => {
  const { objectCache, announced, read } = open();
  read(undefined);
  const listedAt = performance.now();
  objectCache.wrote(stack, versioned(live(1), '10'), listedAt);
  objectCache.onList({ apiVersion: 'v1', kind: 'ConfigMap' }, new Set(), listedAt);
  await delay(40);
  assert.equal(announced, []);
  assert.is(healthIn(objectCache), 'healthy');
});

test('says that the health counts for another deployment when a pass begins and when one ends', () => {
  const { objectCache, seen, read } = open();
  const readAt = performance.now();
  read(versioned(live(1), '1'));
  objectCache.onChange(versioned(live(1), '2'));
  read(versioned(live(1), '1'), readAt);
  objectCache.settled(stack, true);
  objectCache.settled(stack, true);
  assert.equal(seen, [stack, stack, stack]);
});

test('tells a stack that is about to take an object over what the watch delivers before the answer', () => {
  const { objectCache, read } = open();
  const other = stackId('takes-over');
  const entry = { stackId: other, deploymentId: 'd', generation: 1n, drift: 'repair' } as Entry;
  read(versioned(live(1), '1'));
  objectCache.read(entry, desired, new Map([[key, versioned(live(1), '1')]]), performance.now(), () => stack);
  const askedAt = performance.now();
  objectCache.onChange(terminating(live(2), '3'));
  objectCache.wrote(other, versioned(live(2), '2'), askedAt);
  assert.is(healthIn(objectCache, other), 'progressing');
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
  objectCache.onList({ apiVersion: 'v1', kind: 'Secret' }, new Set(), performance.now());
  await delay(40);
  assert.equal(announced, []);
  objectCache.onList({ apiVersion: 'v1', kind: 'ConfigMap' }, new Set(), performance.now());
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

function healthIn(objectCache: ObjectCache, stackId = stack) {
  return objectCache.get(stackId)?.objects.get(key)?.verdict.health;
}

function versioned(object: KubeObject, resourceVersion: string): KubeObject {
  return { ...object, metadata: { ...object.metadata, resourceVersion } };
}

function terminating(object: KubeObject, resourceVersion: string): KubeObject {
  const deletionTimestamp = '2026-01-01T00:00:00Z';
  return { ...object, metadata: { ...object.metadata, resourceVersion, deletionTimestamp } };
}

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
