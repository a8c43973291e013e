import { setTimeout as delay } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { stackId } from '../../test/agent/test-agent.ts';
import { checksumAnnotation, idOf, type KubeObject, keyOf, stackLabel } from '../object/kube-object.ts';
import type { Entry } from '../target/target-state.ts';
import { createObjectCache } from './object-cache.ts';

const test = suite('sightings of passes and watches');
const stack = stackId('seen');
const id = idOf(live(1));
const key = keyOf(id);
const desired = [{ id, object: live(1), checksum: 'c' }];

function open(drift: Entry['drift'] = 'repair') {
  const alarms: string[] = [];
  const objectCache = createObjectCache({
    enqueue: (stackId) => alarms.push(stackId),
    seen: () => {},
    kindsChanged: () => {},
    gatherMs: 10,
    alarmMs: 50,
  });
  const entry = { stackId: stack, deploymentId: 'd', generation: 1n, drift } as Entry;
  const read = (object: KubeObject | undefined, readAt = performance.now()) =>
    objectCache.read(entry, desired, new Map(object ? [[key, object]] : []), readAt, () => stack);
  return { objectCache, alarms, read };
}

test('takes a pass’s own write, told before it is answered, for no drift', async () => {
  const { objectCache, alarms, read } = open();
  read(undefined);
  const askedAt = performance.now();
  objectCache.onChange(live(1));
  objectCache.wrote(stack, live(1), askedAt);
  await delay(40);
  assert.equal(alarms, []);
});

test('does not lose a change that comes while a pass reads', async () => {
  const { objectCache, alarms, read } = open();
  read(live(1));
  const readAt = performance.now();
  objectCache.onChange(live(2));
  // The pass had read before.
  read(live(1), readAt);
  await delay(40);
  assert.equal(alarms, [stack]);
});

test('is alarmed once by news that is older than what a pass reads next', async () => {
  const { objectCache, alarms, read } = open();
  read(live(2));
  objectCache.onChange(live(1));
  await delay(40);
  assert.equal(alarms, [stack]);
  read(live(2));
  await delay(120);
  assert.equal(alarms, [stack], 'the pass knew better');
});

test('makes one alarm of many changes, and none of what others may do', async () => {
  const { objectCache, alarms, read } = open();
  read(live(1));
  for (let number = 2; number < 50; number++) objectCache.onChange(live(number));
  objectCache.onChange({ ...live(49), status: { phase: 'Bound' } });
  await delay(40);
  assert.equal(alarms, [stack]);
  read(live(49));
  objectCache.onChange({ ...live(49), status: { phase: 'Lost' } });
  await delay(80);
  assert.equal(alarms, [stack]);
});

test('is not alarmed where drift is ignored, nor by what no stack desires', async () => {
  const { objectCache, alarms, read } = open('ignore');
  read(live(1));
  objectCache.onChange(live(2));
  const stranger = live(1);
  objectCache.onChange({ ...stranger, metadata: { ...stranger.metadata, name: 'copy' } });
  await delay(40);
  assert.equal(alarms, []);
});

test('learns from a list what is gone', async () => {
  const { objectCache, alarms, read } = open();
  read(live(1));
  objectCache.onList({ apiVersion: 'v1', kind: 'Secret' }, new Set());
  await delay(40);
  assert.equal(alarms, []);
  objectCache.onList({ apiVersion: 'v1', kind: 'ConfigMap' }, new Set());
  await delay(40);
  assert.equal(alarms, [stack]);
});

test('tells the owner of an object, not another stack that lists it, until that one has written it', async () => {
  const { objectCache, alarms, read } = open();
  const other = stackId('lists-it');
  const entry = { stackId: other, deploymentId: 'd', generation: 1n, drift: 'repair' } as Entry;
  const readOther = () => objectCache.read(entry, desired, new Map([[key, live(1)]]), performance.now(), () => stack);
  read(live(1));
  readOther();
  objectCache.onChange(live(2));
  await delay(40);
  assert.equal(alarms, [stack]);
  objectCache.forget(other);
  assert.is(objectCache.size, 1, 'what the other one drops stays the owner’s');
  readOther();
  objectCache.wrote(other, live(3), performance.now());
  objectCache.onChange(live(4));
  await delay(40);
  assert.equal(alarms, [stack, other]);
});

test('keeps nothing of a stack that is over', () => {
  const { objectCache, read } = open();
  read(live(1));
  assert.is(objectCache.size, 1);
  objectCache.forget(stack);
  assert.is(objectCache.size, 0);
  assert.is(objectCache.get(stack), undefined);
  assert.equal(objectCache.kinds(), []);
});

test.run();

/** The object as somebody has left it at some time: each time, others own other fields. */
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
