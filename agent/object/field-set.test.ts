import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { takenOver, unionOf } from './field-set.ts';

const test = suite('field sets');
const own = { manager: 'brokkr', operation: 'Apply', apiVersion: 'v1' };
const edit = { manager: 'kubectl-edit', operation: 'Update', apiVersion: 'v1' };

test('are united, and keep that a member itself belongs to the set', () => {
  assert.equal(unionOf({ 'f:a': {} }, { 'f:b': {} }), { 'f:a': {}, 'f:b': {} });
  assert.equal(unionOf({ 'f:a': {} }, { 'f:a': { 'f:x': {} } }), { 'f:a': { '.': {}, 'f:x': {} } });
  assert.equal(unionOf({ 'f:a': { '.': {} } }, { 'f:a': {} }), { 'f:a': {} });
});

test('change hands whole, by manager, but never those of a status or of another version', () => {
  const status = { ...edit, subresource: 'status', fieldsV1: { 'f:status': {} } };
  const old = { ...edit, apiVersion: 'v1beta1', fieldsV1: { 'f:old': {} } };
  const owners = [{ ...own, fieldsV1: { 'f:a': {} } }, { ...edit, fieldsV1: { 'f:b': {} } }, status, old];
  const managers = ({ manager }: { manager?: string }) => manager === 'kubectl-edit';
  assert.equal(takenOver(owners, 'v1', { managers }), [{ ...own, fieldsV1: { 'f:a': {}, 'f:b': {} } }, status, old]);
  assert.is(takenOver([status, old], 'v1', { managers }), undefined);
});

test('change hands by path, from every other owner, and from none', () => {
  const ports = { 'k:{"port":1}': { '.': {}, 'f:port': {} }, 'k:{"port":2}': {} };
  const owners = [{ ...edit, fieldsV1: { 'f:spec': { 'f:ports': ports } } }];
  const paths = [['f:spec', 'f:ports', 'k:{"port":1}']];
  assert.equal(takenOver(owners, 'v1', { paths }), [
    { ...own, fieldsType: 'FieldsV1', fieldsV1: { 'f:spec': { 'f:ports': { 'k:{"port":1}': {} } } } },
    { ...edit, fieldsV1: { 'f:spec': { 'f:ports': { 'k:{"port":2}': {} } } } },
  ]);
  assert.equal(takenOver([], 'v1', { paths: [['f:x']] })?.[0]?.fieldsV1, { 'f:x': {} });
});

test.run();
