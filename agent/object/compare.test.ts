import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isSameObject, matchesDesired } from './compare.ts';
import { isAppliedFor, type KubeObject, stackLabel } from './kube-object.ts';

const stack = 'stack';
const agreement = suite('agreement of live and desired');

agreement('takes what the server added for no difference, and any other value for one', () => {
  const wanted: KubeObject = {
    apiVersion: 'v1',
    kind: 'X',
    metadata: { name: 'x' },
    spec: { a: 1, list: [{ n: 'one' }] },
  };
  const live = {
    ...wanted,
    metadata: { name: 'x', uid: 'u' },
    spec: { a: 1, b: 2, list: [{ n: 'one', more: true }] },
    status: {},
  };
  assert.ok(matchesDesired(wanted, live));
  assert.not.ok(matchesDesired({ ...wanted, spec: { a: 2 } }, live));
  assert.not.ok(matchesDesired({ ...wanted, spec: { list: [] } }, live));
  assert.ok(isSameObject(live, { ...live, metadata: { ...live.metadata, resourceVersion: '9' } }));
  assert.not.ok(isSameObject(live, { ...live, spec: { a: 1 } }));
});

agreement('knows a copied label from an apply', () => {
  const copy: KubeObject = {
    apiVersion: 'v1',
    kind: 'Endpoints',
    metadata: { name: 'x', labels: { [stackLabel]: stack } },
  };
  assert.not.ok(isAppliedFor(copy, stack));
  assert.ok(
    isAppliedFor(
      { ...copy, metadata: { ...copy.metadata, managedFields: [{ manager: 'brokkr', operation: 'Apply' }] } },
      stack,
    ),
  );
});

agreement.run();
