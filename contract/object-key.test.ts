import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { groupOf, keyOf, kindName, objectText } from './object-key.ts';

const keys = suite('keys and names of objects');

const web = { apiVersion: 'apps/v1', kind: 'Deployment', namespace: 'demo', name: 'web' };
const space = { apiVersion: 'v1', kind: 'Namespace', namespace: '', name: 'demo' };

keys('identify an object in a cluster whatever the version', () => {
  assert.is(keyOf(web), 'apps/Deployment/demo/web');
  assert.is(keyOf({ ...web, apiVersion: 'apps/v1beta1' }), keyOf(web));
  assert.is(keyOf(space), '/Namespace//demo');
});

keys('name kinds and objects for people', () => {
  assert.equal([web, space].map(kindName), ['apps/Deployment', 'Namespace']);
  assert.equal([web, space, undefined].map(objectText), ['Deployment.apps demo/web', 'Namespace demo', '']);
  assert.equal(['apps/v1', 'v1'].map(groupOf), ['apps', '']);
});

keys.run();
