import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { errorFromResponse, refusesChange } from './api-error.ts';

const test = suite('errors of the Kubernetes API');

const id = (kind: string) => ({ apiVersion: 'batch/v1', kind, namespace: 'default', name: 'migrate' });

function refusal(kind: string, causes: readonly { reason: string; field: string; message: string }[]) {
  const sentences = causes.map(({ field, message }) => `${field}: ${message}`);
  const message = `Job.batch "migrate" is invalid: ${sentences.join(', ')}`;
  const details = { name: 'migrate', group: 'batch', kind: 'Job', causes };
  const body = JSON.stringify({ kind: 'Status', status: 'Failure', reason: 'Invalid', code: 422, message, details });
  return errorFromResponse(422, body, id(kind));
}

const dump = `{"metadata":{"labels":{"a: b":"c"}},"spec":{"containers":[${'{"name":"m","image":"x:1"},'.repeat(80)}]}}`;
const reason = 'FieldValueInvalid';

test('say what is wrong with a field, not the value that the server quotes at length', () => {
  const message = `Invalid value: ${dump}: field is immutable`;
  const error = refusal('Job', [{ reason, field: 'spec.template', message }]);
  assert.is(error.message, 'Job "migrate" is invalid: spec.template: Invalid value: (…): field is immutable');
});

test('are told apart when nothing but changes of immutable fields was refused', () => {
  const messages = [
    `Invalid value: ${dump}: field is immutable`,
    'Forbidden: updates to statefulset spec for fields other than "replicas", "template" are forbidden',
    'Forbidden: spec is immutable after creation except resources.requests for bound claims',
    'Invalid value: []string{"10.0.0.1"}: may not change once set',
    'Invalid value: {"kind":"Role"}: cannot change roleRef',
    'Forbidden: may not be changed in an update.',
    'Forbidden: updates to provisioner are forbidden.',
    'Forbidden: pod updates may not change fields other than `spec.containers[*].image`',
  ];
  for (const message of messages) assert.ok(refusesChange(refusal('Job', [{ reason, field: 'a', message }])), message);
  const other = { reason, field: 'b', message: 'Invalid value: "B": must be lower case' };
  const first = { reason, field: 'a', message: messages[0] ?? '' };
  assert.not.ok(refusesChange(refusal('Job', [first, other])), 'a replacement could not be created');
});

test('quote short messages of the server word for word', () => {
  const message = 'Invalid value: "a": must be b';
  const error = refusal('Job', [{ reason, field: 'spec.a', message }]);
  assert.is(error.message, `Job.batch "migrate" is invalid: spec.a: ${message}`);
  assert.equal(error.fieldCauses, [{ reason, field: 'spec.a', message, isImmutable: false }]);
  assert.not.ok(refusesChange(error));
});

test('quote nothing of a Secret', () => {
  const message = 'Invalid value: "hunter2": must be longer';
  const error = refusal('Secret', [{ reason, field: 'data.password', message }]);
  assert.not.match(JSON.stringify([error.message, error.fieldCauses]), 'hunter2');
});

test.run();
