import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { checksumAnnotation, type KubeObject, objectIdOf, stackLabel } from '../../object/kube-object.ts';
import { decideReplacement } from './replace.ts';

const test = suite('the decision to replace an object');

const entry = { stackId: 's', forceReplace: false };
const ended = { conditions: [{ type: 'Complete', status: 'True' }] };
const recorded = (uid: string) => ({ id: objectIdOf(job({})), uid });

function job(annotations: Record<string, string>, metadata: object = {}, status: object = {}): KubeObject {
  return {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: { name: 'j', namespace: 'd', annotations, ...metadata },
    status,
  };
}

/** The Job as the stack has applied it, with this checksum. */
function liveJob(checksum: string, metadata: object = {}, status: object = ended): KubeObject {
  const owned = { uid: 'u', labels: { [stackLabel]: 's' }, managedFields: [{ manager: 'brokkr', operation: 'Apply' }] };
  return job({ [checksumAnnotation]: checksum }, { ...owned, ...metadata }, status);
}

function decide(annotations: Record<string, string>, live: KubeObject | undefined, uid = 'u', of = entry) {
  const object = job(annotations);
  return decideReplacement(of, { id: objectIdOf(object), object, checksum: 'new' }, live, recorded(uid)).kind;
}

const asked = { 'k8s.brokkr.io/replace': 'true' };

test('is yes for what the revision changes and the object asks for, and for a Job that has ended', () => {
  assert.is(decide(asked, liveJob('old', {}, {})), 'replace');
  assert.is(decide({}, liveJob('old')), 'replace');
  assert.is(decide({}, liveJob('old', {}, {})), 'keep', 'it runs');
  assert.is(decide({ 'k8s.brokkr.io/replace': 'false' }, liveJob('old')), 'keep');
});

test('is yes for a stack whose setting asks for it, but for an object that does not want it', () => {
  const forced = { ...entry, forceReplace: true };
  const running = liveJob('old', {}, {});
  assert.is(decide({}, running, 'u', forced), 'replace');
  assert.is(decide({ 'k8s.brokkr.io/replace': 'false' }, running, 'u', forced), 'keep');
  assert.is(decide({}, liveJob('new', {}, {}), 'u', forced), 'keep');
  assert.is(decide({}, liveJob('old', { managedFields: [] }), 'u', forced), 'keep');
});

test('is no where the cluster differs from what this very revision has created', () => {
  assert.is(decide({}, liveJob('new')), 'keep');
  assert.is(decide(asked, liveJob('new')), 'keep');
});

test('is no for an object that is not the one that the stack has applied', () => {
  assert.is(decide(asked, undefined), 'keep');
  assert.is(decide(asked, liveJob('old'), 'another'), 'keep');
  assert.is(decide(asked, liveJob('old'), ''), 'keep');
  assert.is(decide(asked, liveJob('old', { labels: { [stackLabel]: 'other' } })), 'keep');
  assert.is(decide(asked, liveJob('old', { managedFields: [] })), 'keep');
});

test('is no for an object that may not be deleted, or that belongs to another one', () => {
  assert.is(decide({ ...asked, 'k8s.brokkr.io/prune': 'disabled' }, liveJob('old')), 'keep');
  assert.is(decide(asked, liveJob('old', { annotations: { 'k8s.brokkr.io/prune': 'disabled' } })), 'keep');
  assert.is(decide(asked, liveJob('old', { ownerReferences: [{ apiVersion: 'v1', kind: 'Pod', name: 'p' }] })), 'keep');
});

test.run();
