import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ConfigError } from '../client/settings.ts';
import { readConfig, variables } from './config.ts';

const pak = 'brokkr_ag7rVsDaQ2_abc';
const least = { BROKKR_BROKER_URL: 'https://broker.example.org', BROKKR_PAK: pak };
const config = suite('configuration of the agent');

config('needs a broker and a key, and has defaults for the rest', () => {
  const read = readConfig(least);
  assert.is(read.pullIntervalMs, 30_000);
  assert.is(read.namespace, 'brokkr');
  assert.equal(read.healthListen, { host: '0.0.0.0', port: 8080 });
  assert.is(read.maxDeletions, 50);
  assert.is(read.kubeService, undefined);
});

config('reads intervals with their unit', () => {
  for (const [text, ms] of [
    ['500ms', 500],
    ['30s', 30_000],
    ['10m', 600_000],
    ['1h', 3_600_000],
  ] as const)
    assert.is(readConfig({ ...least, BROKKR_PULL_INTERVAL: text }).pullIntervalMs, ms);
});

config('keeps the inventory in the namespace that the agent is limited to', () => {
  assert.is(readConfig({ ...least, BROKKR_WATCH_NAMESPACE: 'team' }).namespace, 'team');
});

config('names every bad variable at once, and quotes no key', () => {
  const env = {
    BROKKR_BROKER_URL: 'broker:3000',
    BROKKR_PAK: 'brokkr_ge7rVsDaQ2_verysecret',
    BROKKR_PULL_INTERVAL: '30',
    BROKKR_NAMESPACE: 'Not A Name',
    BROKKR_HEALTH_LISTEN: '8080',
    BROKKR_TLS_CERT: 'cert.pem',
    BROKKR_TLS_KEYS: 'key.pem',
    BROKKR_KUBE_CONTEXT: 'dev',
    BROKKR_MAX_DELETIONS: 'many',
    BROKKR_TELEMETRY: 'some',
    BROKKR_LOG_LEVEL: 'loud',
  };
  try {
    readConfig(env);
    assert.unreachable();
  } catch (error) {
    assert.instance(error, ConfigError);
    const { message } = error as ConfigError;
    for (const name of Object.keys(env)) assert.match(message, name);
    assert.not.match(message, 'verysecret');
  }
});

config('accepts an enrollment token or a Secret instead of a key', () => {
  const { BROKKR_PAK: _, ...env } = least;
  const token = 'brokkr_en7rVsDaQ2_abc';
  assert.equal(readConfig({ ...env, BROKKR_ENROLLMENT_TOKEN: token }).enrollment, {
    token,
    tokenFile: undefined,
    secret: 'brokkr-agent-key',
  });
  assert.is(readConfig({ ...env, BROKKR_ENROLLMENT_TOKEN_FILE: '/token' }).enrollment.tokenFile, '/token');
  assert.is(readConfig({ ...env, BROKKR_PAK_SECRET: 'kept' }).enrollment.secret, 'kept');
  assert.throws(() => readConfig(env), /BROKKR_PAK: is required, or BROKKR_ENROLLMENT_TOKEN/);
  assert.throws(() => readConfig({ ...env, BROKKR_ENROLLMENT_TOKEN: pak }), /BROKKR_ENROLLMENT_TOKEN: is not/);
});

config('pins certificates only of brokers with https', () => {
  const pin = 'ab'.repeat(32);
  assert.equal(readConfig({ ...least, BROKKR_CA_FINGERPRINT: `sha256:${pin}` }).tls.caFingerprints, [pin]);
  assert.is(readConfig(least).tls.caFingerprints, undefined);
  assert.throws(() => readConfig({ ...least, BROKKR_CA_FINGERPRINT: 'ab' }), /BROKKR_CA_FINGERPRINT/);
  const cleartext = { ...least, BROKKR_BROKER_URL: 'http://127.0.0.1:3000', BROKKR_CA_FINGERPRINT: pin };
  assert.throws(() => readConfig(cleartext), /needs a broker with https/);
});

config('refuses to send a key in clear text unless that is allowed', () => {
  const env = { ...least, BROKKR_BROKER_URL: 'http://broker.example.org' };
  assert.throws(() => readConfig(env), /BROKKR_ALLOW_CLEARTEXT/);
  assert.is(readConfig({ ...env, BROKKR_ALLOW_CLEARTEXT: 'true' }).brokerUrl, env.BROKKR_BROKER_URL);
  assert.ok(readConfig({ ...least, BROKKR_BROKER_URL: 'http://127.0.0.1:3000' }));
});

config('finds the API of the pod’s own cluster', () => {
  const pod = { KUBERNETES_SERVICE_HOST: 'fd00::1', KUBERNETES_SERVICE_PORT: '443' };
  assert.is(readConfig({ ...least, ...pod }).kubeService, 'https://[fd00::1]:443');
});

config('has a line of help for each variable', () => {
  for (const help of Object.values(variables)) assert.ok(help.length > 10);
});

config.run();
