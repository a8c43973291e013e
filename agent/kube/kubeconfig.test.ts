import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { openCredentials } from './kubeconfig.ts';

const folder = mkdtempSync(join(tmpdir(), 'brokkr-kubeconfig-'));
const kubeconfig = suite('kubeconfig');
kubeconfig.after(() => rmSync(folder, { recursive: true, force: true }));

const text = (user: object, cluster: object = {}) =>
  JSON.stringify({
    'current-context': 'dev',
    contexts: [
      { name: 'dev', context: { cluster: 'one', user: 'me' } },
      { name: 'live', context: { cluster: 'two', user: 'me' } },
    ],
    clusters: [
      { name: 'one', cluster: { server: 'https://one:6443', ...cluster } },
      { name: 'two', cluster: { server: 'https://two:6443' } },
    ],
    users: [{ name: 'me', user }],
  });
const base64 = (value: string) => Buffer.from(value).toString('base64');

kubeconfig('gives the token and the certificates of the current context', async () => {
  const cluster = { 'certificate-authority-data': base64('authority'), 'tls-server-name': 'kube' };
  const { server, read } = openCredentials({ text: text({ token: 't' }, cluster) });
  assert.is(server, 'https://one:6443');
  const { headers, tls } = await read();
  assert.equal(headers, { authorization: 'Bearer t' });
  assert.is(String(tls.ca), 'authority');
  assert.is(tls.servername, 'kube');
  assert.is(tls.rejectUnauthorized, true);
});

kubeconfig('reads files beside it, anew each time, and takes another context', async () => {
  const file = join(folder, 'config');
  writeFileSync(file, text({ tokenFile: 'token', 'client-certificate': 'cert.pem', 'client-key-data': base64('key') }));
  writeFileSync(join(folder, 'token'), 'first\n');
  writeFileSync(join(folder, 'cert.pem'), 'cert');
  const { server, read } = openCredentials({ file, context: 'live' });
  assert.is(server, 'https://two:6443');
  assert.equal((await read()).headers, { authorization: 'Bearer first' });
  writeFileSync(join(folder, 'token'), 'second\n');
  const { headers, tls } = await read();
  assert.equal(headers, { authorization: 'Bearer second' });
  assert.is(String(tls.cert), 'cert');
  assert.is(String(tls.key), 'key');
});

kubeconfig('asks a program for credentials, when it is told to', async () => {
  const credential = {
    apiVersion: 'client.authentication.k8s.io/v1',
    kind: 'ExecCredential',
    status: { token: 'made' },
  };
  const script = `process.stdout.write(${JSON.stringify(JSON.stringify(credential))})`;
  const exec = { apiVersion: credential.apiVersion, command: process.execPath, args: ['-e', script] };
  const { headers } = await openCredentials({ text: text({ exec }) }).read();
  assert.equal(headers, { authorization: 'Bearer made' });
});

kubeconfig('says in one line what is wrong', () => {
  const missing = join(folder, 'missing');
  assert.throws(
    () => openCredentials({ file: missing }),
    (error: Error) => /^the kubeconfig .*missing cannot be used: ENOENT/.test(error.message),
  );
  assert.throws(
    () => openCredentials({ text: ': [' }),
    (error: Error) => /the kubeconfig cannot be used/.test(error.message),
  );
  assert.throws(
    () => openCredentials({ text: '{}' }),
    (error: Error) => /it has no current context/.test(error.message),
  );
  const file = join(folder, 'config-2');
  writeFileSync(file, text({}));
  assert.throws(
    () => openCredentials({ file, context: 'nowhere' }),
    (error: Error) => /it has no context nowhere/.test(error.message),
  );
  assert.throws(
    () => openCredentials({ service: undefined }),
    (error: Error) => /KUBECONFIG is not set/.test(error.message),
  );
});

kubeconfig.run();
