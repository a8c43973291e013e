import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { connectCluster } from '../../agent/kube/client.ts';
import { type KubeObject, textAt } from '../../agent/object/kube-object.ts';
import { startKube } from '../../sandbox/apiserver/apiserver.ts';
import { requestToken } from '../../sandbox/apiserver/client.ts';
import { connectObserver } from '../agent/test-environment.ts';
import { startTestBroker } from '../broker.ts';
import { testCli } from '../cli.ts';
import { type Pod, runPod } from '../kube-pod.ts';
import { needs } from '../runner/needs.ts';
import { makeAuthority } from '../tools/certificates.ts';

const story = suite('a cluster registered with one command');
if (needs('go')) await tell();
story.run();

async function tell(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'brokkr-install-'));
  const authority = await makeAuthority();
  const { certFile, keyFile } = await authority.issue('broker');
  const { caFile } = authority;
  const test = await startTestBroker({ config: { tls: { certFile, keyFile, clientCaFile: undefined } } });
  const kube = await startKube({ dataDir: join(folder, 'kube') });
  const cli = testCli(test);
  const brokkr = (args: string) => cli.done(`${args} --ca-file ${caFile}`);
  const observer = connectObserver(kube.kubeconfigFor(kube.token));
  const pods: Pod[] = [];
  story.after(async () => {
    await Promise.all(pods.map((pod) => pod.end()));
    observer.close();
    cli.close();
    await kube.stop();
    await test.close();
    authority.remove();
    rmSync(folder, { recursive: true, force: true });
  });

  const run = async (deployment: KubeObject, name: string) => {
    const pod = await runPod(kube, deployment, join(folder, name));
    pods.push(pod);
    return pod;
  };
  const admin = connectCluster(
    { text: kube.kubeconfigFor(kube.token) },
    { timeoutMs: 30_000, concurrency: 8, userAgent: 'kubectl', observe: () => {} },
  );
  story.after(() => admin.close());
  const { signal } = new AbortController();
  /** Applies like `kubectl apply --server-side`. */
  const apply = async (object: KubeObject) => {
    const resource = await admin.discovery.find(object.apiVersion, object.kind, signal);
    assert.ok(resource, object.kind);
    await admin.apply(object, resource, { dryRun: false, force: true }, signal);
  };
  const install = async (name: string) => {
    const printed = await brokkr(`install agent ${name} --label ${name} --broker-url ${test.url} -o json`);
    const { items } = JSON.parse(printed) as { items: KubeObject[] };
    for (const object of items) await apply(object);
    const deployment = items.find(({ kind }) => kind === 'Deployment');
    assert.ok(deployment);
    return deployment;
  };

  const secret = (namespace: string, name: string) => ({ apiVersion: 'v1', kind: 'Secret', namespace, name });
  const manifest = join(folder, 'stack.yaml');
  const objects = (value: string) => [
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop' } },
    { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'shop', namespace: 'shop' }, data: { value } },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'shop', namespace: 'shop' },
      spec: { ports: [{ port: 80 }] },
    },
  ];
  const submit = (value: string) => {
    writeFileSync(
      manifest,
      objects(value)
        .map((object) => JSON.stringify(object))
        .join('\n---\n'),
    );
    return brokkr(`apply -f ${manifest} --stack shop --label north --wait --timeout 60s`);
  };
  const liveValue = async () =>
    textAt(
      await observer.get({ apiVersion: 'v1', kind: 'ConfigMap', namespace: 'shop', name: 'shop' }),
      'data',
      'value',
    );

  story('enrolls, becomes ready, and applies a stack with its own rights', async () => {
    const deployment = await install('north');
    const { end, env } = await run(deployment, 'first');
    assert.match(env.BROKKR_CA_FINGERPRINT ?? '', /^[0-9a-f]{64}$/);
    assert.not.ok('BROKKR_PAK' in env);
    assert.match(await brokkr('agent status north --wait --timeout 60s'), '✔ agent north: online');
    await submit('1');
    assert.is(await liveValue(), '1');
    await end();
  });

  story('starts again from its Secret when the token is gone', async () => {
    const token = secret('brokkr', 'brokkr-agent-enrollment');
    await admin.remove(token, (await observer.get(token))?.metadata.uid ?? '', signal);
    const deployment = await observer.get({
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      namespace: 'brokkr',
      name: 'brokkr-agent',
    });
    assert.ok(deployment);
    const { end, env } = await run(deployment, 'second');
    assert.not.ok('BROKKR_ENROLLMENT_TOKEN' in env);
    await submit('2');
    assert.is(await liveValue(), '2');
    await end();
  });

  story('has only the rights that it was given', async () => {
    const mine = connectObserver(kube.kubeconfigFor(await requestToken(kube, 'brokkr', 'brokkr-agent')));
    assert.ok(await mine.get(secret('brokkr', 'brokkr-agent-key')));
    for (const other of [secret('brokkr', 'brokkr-agent-enrollment'), secret('default', 'brokkr-agent-key')])
      await mine.get(other).then(
        () => assert.unreachable(`it may read Secret ${other.namespace}/${other.name}`),
        (error: Error) => assert.match(error.message, 'forbidden'),
      );
    const role = {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRole',
      metadata: { name: 'more' },
      rules: [],
    };
    assert.match(await mine.dryRunError(role), 'forbidden');
    mine.close();
  });

  story('keeps its key when the manifest is applied again', async () => {
    const id = secret('brokkr', 'brokkr-agent-key');
    const kept = textAt(await observer.get(id), 'data', 'pak');
    assert.ok(kept);
    const { namespace, name } = id;
    await apply({ apiVersion: 'v1', kind: 'Secret', metadata: { name, namespace }, type: 'Opaque' });
    assert.is(textAt(await observer.get(id), 'data', 'pak'), kept);
  });
}
