// time limit: 15 min
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type KubeObject, textAt } from '../agent/object/kube-object.ts';
import { DiagnosticState } from '../gen/brokkr/v1/diagnostic_pb.ts';
import { PlacementPhase } from '../gen/brokkr/v1/placement_pb.ts';
import { type Kube, startKube } from '../sandbox/apiserver/apiserver.ts';
import { requestKube, requestToken } from '../sandbox/apiserver/client.ts';
import { configMap, connect } from '../test/agent/test-agent.ts';
import { connectObserver, openEnvironment } from '../test/agent/test-environment.ts';
import { eventually } from '../test/broker.ts';
import { type Pod, startPod } from '../test/kube-pod.ts';
import { needs } from '../test/runner/needs.ts';
import { openHelm } from '../test/tools/helm.ts';
import { installation } from './options.ts';

const deadlineMs = 90_000;
const rbac = suite('RBAC of the agent');
if (needs('go')) await describe();
rbac.run();

async function describe(): Promise<void> {
  const testbed = await openTestbed();
  const { kube, environment } = testbed;
  const { pak: token } = await environment.admin.admin.createEnrollment({ name: 'whole', labels: ['whole'] });
  const values = { enrollment: { token }, rbac: { impersonate: [{ namespace: 'team', name: 'deployer' }] } };
  const agent = await testbed.start(await testbed.install('whole', values));
  const account = await requestToken(kube, 'brokkr', 'whole-brokkr-agent');
  const installed = { ...testbed, values, agent, account };
  describeEnrollment(installed);
  describeDeployment(installed);
  describeDiagnostics(installed);
  describeLimits(installed);
  describeSingleNamespace(installed);
}

/** An API server and a broker, with functions to install the agent's chart and to run its pods. */
async function openTestbed() {
  const helm = await openHelm();
  const folder = mkdtempSync(join(tmpdir(), 'brokkr-rbac-'));
  const kube = await startKube({ dataDir: join(folder, 'kube') });
  const environment = await openEnvironment();
  const admin = connect({ file: kube.kubeconfig });
  const observer = connectObserver(kube.kubeconfigFor(kube.token));
  const { signal } = new AbortController();
  const pods: Pod[] = [];
  rbac.after(async () => {
    await Promise.all(pods.map((pod) => pod.stop()));
    observer.close();
    admin.close();
    await environment.close();
    await kube.stop();
    rmSync(folder, { recursive: true, force: true });
  });
  for (const name of ['brokkr', 'team', 'other'])
    await admin.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } }, signal);
  return {
    helm,
    kube,
    environment,
    admin,
    observer,
    signal,
    /** Installs the chart and returns the agent's Deployment. */
    async install(release: string, values: object): Promise<KubeObject> {
      const allValues = installation('agent', { broker: { url: environment.broker.url }, ...values });
      helm.install('agent', allValues, release, kube.kubeconfig);
      const name = `${release}-brokkr-agent`;
      const deployment = await observer.get({ apiVersion: 'apps/v1', kind: 'Deployment', namespace: 'brokkr', name });
      assert.ok(deployment);
      await untilAuthorized(kube, name);
      return deployment;
    },
    async start(deployment: KubeObject): Promise<Pod> {
      const pod = await startPod(kube, deployment, join(folder, deployment.metadata.name));
      pods.push(pod);
      return pod;
    },
  };
}

/** The API server authorizes by new roles and bindings only a moment after they were written. */
async function untilAuthorized(kube: Kube, account: string): Promise<void> {
  const token = await requestToken(kube, 'brokkr', account);
  const leases = { verb: 'get', group: 'coordination.k8s.io', resource: 'leases' };
  for (const permission of [
    { ...leases, namespace: 'brokkr', name: 'brokkr-agent' },
    { verb: 'list', resource: 'events', namespace: 'team' },
  ])
    await eventually(() => isAllowed(kube, token, permission), deadlineMs);
}

/** The agent with permissions in the whole cluster, after it was installed. */
type Installed = Awaited<ReturnType<typeof openTestbed>> & {
  readonly values: object;
  readonly agent: Pod;
  readonly account: string;
};

const { APPLIED, FAILED } = PlacementPhase;

function describeEnrollment({ install, observer, values }: Installed): void {
  rbac('are enough to enroll, and to keep the key in its Secret across upgrades', async () => {
    const secret = { apiVersion: 'v1', kind: 'Secret', namespace: 'brokkr', name: 'whole-brokkr-agent-key' };
    const key = async () => secretText(await observer.get(secret), 'pak');
    await eventually(async () => (await key()).startsWith('brokkr_ag'), deadlineMs);
    const originalKey = await key();
    await install('whole', { ...values, logLevel: 'debug', podAnnotations: { note: 'upgraded' } });
    assert.is(await key(), originalKey);
  });
}

function describeDeployment({ admin, environment, observer, signal }: Installed): void {
  rbac('are enough to become leader, to apply, to repair, to prune and to remove', async () => {
    const web = (colour: string) => configMap('web', { colour }, 'team');
    await environment.submit(
      'web',
      [namespace('made'), web('blue'), workload('web', 'made'), configMap('pruned', {}, 'team')],
      ['whole'],
    );
    await environment.untilPhase('web', 'whole', APPLIED);
    const lease = await observer.get({
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      namespace: 'brokkr',
      name: 'brokkr-agent',
    });
    assert.ok(textAt(lease, 'spec', 'holderIdentity'));
    assert.ok((await observer.list('v1', 'ConfigMap')).some(({ metadata }) => metadata.name.startsWith('brokkr-inv-')));

    await admin.remove({ ...idOf('web') }, (await observer.get(idOf('web')))?.metadata.uid ?? '', signal);
    await eventually(() => observer.get(idOf('web')), deadlineMs);

    await environment.submit('web', [namespace('made'), web('red'), workload('web', 'made')]);
    await environment.untilPhase('web', 'whole', APPLIED);
    assert.is(await observer.get(idOf('pruned')), undefined);
    assert.equal((await observer.get(idOf('web')))?.data, { colour: 'red' });

    await environment.submit('brief', [configMap('brief', {}, 'team')], ['whole']);
    await environment.untilPhase('brief', 'whole', APPLIED);
    await environment.admin.broker.deleteStack({ stack: 'brief' });
    await environment.untilRemoved('brief', 'whole');
    assert.is(await observer.get(idOf('brief')), undefined);
  });
}

function describeDiagnostics({ account, agent, environment, kube }: Installed): void {
  rbac('are enough for diagnostics', async () => {
    const { broker } = environment.admin;
    const { diagnostic } = await broker.requestDiagnostic({ stack: 'web', agent: 'whole' });
    const answer = await broker.getDiagnostic({ id: diagnostic?.id ?? '', wait: { seconds: 40n, nanos: 0 } });
    assert.is(answer.diagnostic?.state, DiagnosticState.DONE, answer.diagnostic?.message);
    const report = answer.diagnostic?.report;
    assert.ok(
      report?.pods.some(({ name }) => name.startsWith('web-')),
      'the Deployment has a pod',
    );
    assert.equal(report?.notes, []);
    // Without a kubelet there are no logs, so this checks only the permission to read them.
    assert.ok(await isAllowed(kube, account, { verb: 'get', resource: 'pods', subresource: 'log', namespace: 'made' }));
    assert.not.match(agent.output(), /forbidden/i);
  });
}

function describeLimits({ account, environment, kube, observer }: Installed): void {
  rbac('go no further: the API server rejects everything else, and the agent reports it', async () => {
    await environment.submit(
      'secret',
      [configMap('beside', {}, 'team'), secret('secret', 'team', { password: 'hidden' })],
      ['whole'],
    );
    const placement = await environment.untilPhase('secret', 'whole', FAILED);
    assert.match(placement.message, /secrets.* is forbidden/);
    assert.is(await observer.get(idOf('beside')), undefined);
    const asAgent = { ...kube, token: account };
    for (const [method, path, body] of [
      ['GET', '/api/v1/namespaces/kube-system/secrets'],
      ['GET', '/api/v1/namespaces/brokkr/secrets'],
      ['GET', '/api/v1/nodes'],
      ['GET', '/apis/coordination.k8s.io/v1/namespaces/brokkr/leases/another'],
      ['GET', '/apis/rbac.authorization.k8s.io/v1/clusterroles'],
      ['POST', '/apis/rbac.authorization.k8s.io/v1/clusterroles', { metadata: { name: 'more' }, rules: [] }],
      ['POST', '/api/v1/namespaces/brokkr/serviceaccounts/default/token', {}],
      ['POST', '/api/v1/namespaces/team/pods/any/exec', {}],
    ] as const)
      assert.is((await requestKube(asAgent, { method, path, body })).status, 403, `${method} ${path}`);
  });

  rbac('allow impersonating the configured account, and no other', async () => {
    const impersonate = { verb: 'impersonate', resource: 'serviceaccounts', namespace: 'team' };
    assert.ok(await isAllowed(kube, account, { ...impersonate, name: 'deployer' }));
    assert.not(await isAllowed(kube, account, { ...impersonate, name: 'default' }));
    assert.not(await isAllowed(kube, account, { ...impersonate, namespace: 'other', name: 'deployer' }));
  });
}

function describeSingleNamespace(installed: Installed): void {
  const { admin, agent, environment, helm, install, kube, observer, signal, start } = installed;
  rbac('can be limited to one namespace, without cluster-wide permissions', async () => {
    await admin.create(secret('limited', 'brokkr', { pak: await environment.createAgent('limited') }), signal);
    const limited = await install('limited', { watchNamespace: 'team', pak: { existingSecret: 'limited' } });
    const objects = helm.render('agent', installation('agent', { watchNamespace: 'team' }));
    assert.equal(
      objects.filter(({ kind }) => kind.startsWith('ClusterRole')).map(({ metadata }) => metadata.name),
      [],
    );
    await agent.stop();
    await start(limited);
    await environment.submit('limited', [configMap('limited', { colour: 'blue' })], ['limited']);
    await environment.untilPhase('limited', 'limited', APPLIED);
    assert.equal((await observer.get(idOf('limited')))?.data, { colour: 'blue' });
    await environment.submit('limited', []);
    await environment.untilPhase('limited', 'limited', APPLIED);
    assert.is(await observer.get(idOf('limited')), undefined);
    for (const path of ['/api/v1/namespaces', '/api/v1/namespaces/other/configmaps', '/api/v1/configmaps'])
      assert.is(
        (
          await requestKube(
            { ...kube, token: await requestToken(kube, 'brokkr', limited.metadata.name) },
            { method: 'GET', path },
          )
        ).status,
        403,
        path,
      );
  });
}

/** Tells whether the API server allows something to the bearer of the token. */
async function isAllowed(
  kube: Kube,
  token: string,
  resourceAttributes: Readonly<Record<string, string>>,
): Promise<boolean> {
  const review = {
    apiVersion: 'authorization.k8s.io/v1',
    kind: 'SelfSubjectAccessReview',
    spec: { resourceAttributes },
  };
  const path = '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews';
  const bearer = { ...kube, token };
  const { body } = await requestKube<{ status: { allowed: boolean } }>(bearer, { method: 'POST', path, body: review });
  return body.status.allowed;
}

function idOf(name: string) {
  return { apiVersion: 'v1', kind: 'ConfigMap', namespace: 'team', name };
}

function namespace(name: string): KubeObject {
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name } };
}

function secret(name: string, namespace: string, stringData: Readonly<Record<string, string>>): KubeObject {
  return { apiVersion: 'v1', kind: 'Secret', metadata: { name, namespace }, stringData };
}

function secretText(live: KubeObject | undefined, key: string): string {
  return Buffer.from(textAt(live, 'data', key) ?? '', 'base64').toString();
}

function workload(name: string, namespace: string): KubeObject {
  const labels = { app: name };
  const containers = [{ name, image: `${name}:1` }];
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, namespace },
    spec: { selector: { matchLabels: labels }, template: { metadata: { labels }, spec: { containers } } },
  };
}
