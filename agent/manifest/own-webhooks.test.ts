import { readFileSync } from 'node:fs';
import { createServer as createTlsServer } from 'node:https';
import { type AddressInfo, createServer } from 'node:net';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  configMap,
  configMapId,
  openRealCluster,
  stackId,
  type TestCluster,
  until,
} from '../../test/agent/test-agent.ts';
import { agentsOn, applyStack } from '../../test/agent/test-agents.ts';
import { deployment } from '../../test/agent/wave-objects.ts';
import { needs } from '../../test/runner/needs.ts';
import { makeAuthority } from '../../test/tools/certificates.ts';
import { type KubeObject, objectIdOf } from '../object/kube-object.ts';
import { uncallableOwnWebhook } from './own-webhooks.ts';

const messages = suite('webhooks that cannot be called');
const real = suite('webhooks of the stack itself, real API server');

messages('are told from those that refuse an object, and from those of others', () => {
  const service: KubeObject = { apiVersion: 'v1', kind: 'Service', metadata: { name: 'hook', namespace: 'ops' } };
  const isOwn = uncallableOwnWebhook([webhook('a.example.org', 1, ''), service]);
  const post = (host: string) =>
    `failed to call webhook: Post "https://${host}.svc:443/v?timeout=10s": connection refused`;
  const calling = (name: string) => `Internal error occurred: failed calling webhook "${name}"`;
  assert.ok(isOwn(`${calling('a.example.org')}: ${post('x.y')}`));
  assert.ok(isOwn(`${calling('b.example.org')}: ${post('hook.ops')}`), 'it serves the webhook');
  assert.ok(isOwn(`conversion webhook for example.org/v1, Kind=A failed: ${post('hook.ops')}`));
  assert.ok(isOwn(calling('a.example.org')), 'of a Secret, no more is quoted');
  assert.not(isOwn(`${calling('b.example.org')}: ${post('hook.other')}`));
  assert.not(isOwn('admission webhook "a.example.org" denied the request: no'));
  assert.not(isOwn(`Post "https://hook.ops.svc:443/v": no`));
});

if (needs('go')) describe(await openRealCluster());
messages.run();
real.run();

function describe(testCluster: TestCluster): void {
  const { admin } = testCluster;
  const agents = agentsOn(real, testCluster);
  const stack = stackId('mends its webhook');

  real('a revision that may mend the backend goes first, and what the webhook guards follows', async () => {
    const authority = await makeAuthority();
    const port = await freePort();
    const testAgent = await agents.start();
    const hook = webhook('hook.c15.example.org', port, readFileSync(authority.caFile).toString('base64'));
    const objects = (image: string, v: string): KubeObject[] => {
      const backend = deployment('c15-hook');
      const template = {
        metadata: { labels: { app: 'c15-hook' } },
        spec: { containers: [{ name: 'web', image }] },
      };
      return [
        { ...backend, spec: { ...(backend.spec as object), template } },
        hook,
        configMap('c15-guarded', { v }, 'default'),
      ];
    };
    await applyStack(testAgent, { stackId: stack, order: 1n, deploymentId: 'd', objects: objects('hook:1', '1') });
    const isGuarded = () =>
      admin
        .edit(configMapId('c15-guarded'), (live) => live)
        .then(
          () => false,
          (error: Error) => /failed calling webhook/.test(error.message),
        );
    await until(isGuarded, 'the webhook to be called');
    const waiting = testAgent.nextEvent(stack);
    testAgent.setTarget([{ stackId: stack, order: 2n, deploymentId: 'e', objects: objects('hook:2', '2') }]);
    const { outcome, message, changes } = await waiting;
    assert.is(outcome, 'waiting', message);
    assert.match(message, /^waits for the webhook of ConfigMap default\/c15-guarded: .*failed calling webhook/);
    assert.equal(
      changes.map(({ object }) => object.name),
      ['c15-hook'],
    );
    const applied = testAgent.nextEvent(stack, 'applied');
    const server = await answerOn(port, await authority.issue('hook'));
    await applied;
    assert.equal((await admin.get(configMapId('c15-guarded')))?.data, { v: '2' });
    await admin.remove(objectIdOf(hook));
    server.close();
    server.closeAllConnections();
    authority.remove();
  });

  real('a webhook of somebody else that cannot be called still fails, with nothing applied', async () => {
    const testAgent = await agents.start();
    const foreign = webhook('hook.foreign.example.org', 1, '', 'c15-foreign');
    await admin.create(foreign);
    const guarded = configMap('c15-foreign', { v: '1' }, 'default');
    const isGuarded = () =>
      admin.create(guarded).then(
        () => admin.remove(configMapId('c15-foreign')).then(() => false),
        (error: Error) => /failed calling webhook/.test(error.message),
      );
    await until(isGuarded, 'the webhook to be called');
    const reported = testAgent.nextEvent(stackId('foreign hook'));
    const objects = [guarded, deployment('c15-foreign')];
    testAgent.setTarget([{ stackId: stackId('foreign hook'), order: 1n, deploymentId: 'd', objects }]);
    const { outcome, message } = await reported;
    await admin.remove(objectIdOf(foreign));
    assert.is(outcome, 'failed');
    assert.match(message, /^nothing was applied/);
  });
}

/** Builds a webhook that guards the ConfigMaps whose names begin with `c15`, and is reached at a port of this machine. */
function webhook(name: string, port: number, caBundle: string, object = 'c15-guarded'): KubeObject {
  return {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'ValidatingWebhookConfiguration',
    metadata: { name },
    webhooks: [
      {
        name,
        sideEffects: 'None',
        failurePolicy: 'Fail',
        timeoutSeconds: 2,
        admissionReviewVersions: ['v1'],
        clientConfig: { url: `https://127.0.0.1:${port}/v`, ...(caBundle !== '' && { caBundle }) },
        rules: [{ apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE', 'UPDATE'], resources: ['configmaps'] }],
        matchConditions: [{ name: 'one', expression: `request.name == '${object}'` }],
      },
    ],
  };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Serves a webhook that allows everything. */
async function answerOn(port: number, { certFile, keyFile }: { certFile: string; keyFile: string }) {
  const server = createTlsServer(
    { cert: readFileSync(certFile), key: readFileSync(keyFile) },
    async (request, response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      const { apiVersion, kind, request: review } = JSON.parse(Buffer.concat(chunks).toString());
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify({ apiVersion, kind, response: { uid: review.uid, allowed: true } }));
    },
  );
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  return server;
}
