import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { webDeployment, withManagers } from '../../test/agent/managed-objects.ts';
import type { DesiredObject } from '../object/desired-object.ts';
import type { KubeObject } from '../object/kube-object.ts';
import { withoutIgnored } from './ignored-fields.ts';

const ignoring = suite('ignored fields');

const replicas = [{ kind: 'apps/Deployment', name: '', paths: ['.spec.replicas'] }];
const mine = (set: object) => [{ manager: 'brokkr', operation: 'Apply', fieldsV1: set }];
const wanted = (object: KubeObject): DesiredObject => ({
  id: { apiVersion: object.apiVersion, kind: object.kind, namespace: 'default', name: 'web' },
  object,
  checksum: 'c',
});
const specOf = ({ object }: DesiredObject) => object.spec as Record<string, unknown>;

ignoring('keeps what nobody else has set: left out, it would be removed', () => {
  const one = wanted(webDeployment({ image: 'a' }));
  assert.is(withoutIgnored(one, undefined, replicas, true), one);
  const live = withManagers(webDeployment({ image: 'a' }), mine({ 'f:spec': { 'f:replicas': {} } }));
  assert.is(withoutIgnored(one, live, replicas, true), one);
});

ignoring('leaves out what somebody else has set, and only that', () => {
  const live = withManagers(webDeployment({ image: 'a' }), mine({ 'f:spec': { 'f:template': {} } }));
  const left = withoutIgnored(wanted(webDeployment({ image: 'a' })), live, replicas, true);
  assert.equal(Object.keys(specOf(left)), ['template']);
});

ignoring('goes into what is below a path, items of lists by their keys', () => {
  const rule = [{ kind: '', name: 'web', paths: ['.spec.template'] }];
  const set = {
    'f:spec': {
      'f:template': { 'f:spec': { 'f:containers': { 'k:{"name":"web"}': { '.': {}, 'f:name': {}, 'f:args': {} } } } },
    },
  };
  const live = withManagers(webDeployment({ image: 'theirs', args: ['x'] }), mine(set));
  const left = withoutIgnored(wanted(webDeployment({ image: 'a', args: ['x'] })), live, rule, true);
  assert.equal(specOf(left).template, { spec: { containers: [{ name: 'web', args: ['x'] }] } });
});

ignoring('concerns only the kinds and names of its rules', () => {
  const live = withManagers(webDeployment({ image: 'a' }), mine({}));
  const one = wanted(webDeployment({ image: 'a' }));
  for (const rule of [
    { kind: 'apps/StatefulSet', name: '' },
    { kind: '', name: 'other' },
    { kind: 'Deployment', name: '' },
  ])
    assert.is(withoutIgnored(one, live, [{ ...rule, paths: ['.spec.replicas'] }], true), one);
});

ignoring('sets a field that a deployment is the first to have, but none that somebody removed', () => {
  const { replicas: _, ...spec } = webDeployment({ image: 'a' }).spec as Record<string, unknown>;
  const live = withManagers({ ...webDeployment({ image: 'a' }), spec }, mine({ 'f:spec': { 'f:template': {} } }));
  const one = wanted(webDeployment({ image: 'a' }));
  assert.is(withoutIgnored(one, live, replicas, false), one);
  assert.equal(Object.keys(specOf(withoutIgnored(one, live, replicas, true))), ['template']);
});

const webhooks = (caBundle: string, more: object = {}): KubeObject => ({
  apiVersion: 'admissionregistration.k8s.io/v1',
  kind: 'ValidatingWebhookConfiguration',
  metadata: { name: 'web' },
  webhooks: [
    { name: 'a.io', clientConfig: { caBundle } },
    { name: 'b.io', clientConfig: { caBundle, ...more } },
  ],
});
const ownHooks = (fields: object) =>
  mine({ 'f:webhooks': { 'k:{"name":"a.io"}': fields, 'k:{"name":"b.io"}': fields } });
const bundlesOf = ({ object }: DesiredObject) =>
  (object.webhooks as { clientConfig: { caBundle?: string } }[]).map(({ clientConfig }) => clientConfig.caBundle);

ignoring('reaches into the items of a list: all, or those that a selector names', () => {
  const live = withManagers(webhooks('theirs'), ownHooks({ '.': {}, 'f:clientConfig': {}, 'f:name': {} }));
  const withPath = (path: string) => {
    const fields = { '.': {}, 'f:name': {}, 'f:clientConfig': { 'f:url': {} } };
    const object = { ...live, metadata: { ...live.metadata, managedFields: ownHooks(fields) } };
    return bundlesOf(withoutIgnored(wanted(webhooks('')), object, [{ kind: '', name: '', paths: [path] }], true));
  };
  assert.equal(withPath('.webhooks.clientConfig.caBundle'), [undefined, undefined]);
  assert.equal(withPath('.webhooks[*].clientConfig.caBundle'), [undefined, undefined]);
  assert.equal(withPath('.webhooks[name=b.io].clientConfig.caBundle'), ['', undefined]);
  assert.equal(withPath('.webhooks[name=c.io].clientConfig.caBundle'), ['', '']);
});

ignoring('applies what others have set in a list that has one owner as a whole', () => {
  const rule = [{ kind: '', name: '', paths: ['.webhooks[*].clientConfig.caBundle'] }];
  for (const fields of [{ 'f:webhooks': {} }, {}]) {
    const left = withoutIgnored(wanted(webhooks('')), withManagers(webhooks('theirs'), mine(fields)), rule, true);
    assert.equal(bundlesOf(left), ['theirs', 'theirs']);
  }
});

ignoring.run();
