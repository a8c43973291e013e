import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { secretObject, secretValue } from '../../test/agent/secret-object.ts';
import { redactObject } from './redact.ts';

const masks = suite('masks');
masks('leave nothing of a Secret but its keys', () => {
  const text = JSON.stringify(redactObject({ ...secretObject, stringData: { other: secretValue } }));
  assert.not.match(text, secretValue);
  assert.match(text, '"password":"***"');
  assert.match(text, '"other":"***"');
});

masks.run();
