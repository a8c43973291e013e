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
import { type Pod, runPod } from '../test/kube-pod.ts';
import { needs } from '../test/runner/needs.ts';
import { openHelm } from '../test/tools/helm.ts';
import { installation } from './options.ts';

const deadlineMs = 90_000;
const rights = suite('rights of the agent');
if (needs('go')) await describe();
rights.run();

async function describe(): Promise<void> {
  const helm = await openHelm();
  const place = mkdtempSync(join(tmpdir(), 'brokkr-rights-'));
  const kube = await startKube({ dataDir: join(place, 'kube') });
  const environment = await openEnvironment();
  const admin = connect({ file: kube.kubeconfig });
  const observer = connectObserver(kube.kubeconfigFor(kube.token));
  const { signal } = new AbortController();
  const pods: Pod[] = [];
  rights.after(async () => {
    await Promise.all(pods.map((pod) => pod.end()));
    observer.close();
    admin.close();
    await environment.close();
    await kube.stop();
    rmSync(place, { recursive: true, force: true });
  });
  for (const name of ['brokkr', 'team', 'other'])
    await admin.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } }, signal);

  /** Installs the chart, and answers the agent's Deployment. */
  const install = async (release: string, values: object): Promise<KubeObject> => {
    const all = installation('agent', { broker: { url: environment.broker.url }, ...values });
    helm.install('agent', all, release, kube.kubeconfig);
    const name = `${release}-brokkr-agent`;
    const deployment = await observer.get({ apiVersion: 'apps/v1', kind: 'Deployment', namespace: 'brokkr', name });
    assert.ok(deployment);
    // The authorizer learns of roles, and of bindings, a moment after they were written.
    const account = await requestToken(kube, 'brokkr', name);
    const lease = {
      verb: 'get',
      group: 'coordination.k8s.io',
      resource: 'leases',
      namespace: 'brokkr',
      name: 'brokkr-agent',
    };
    for (const right of [lease, { verb: 'list', resource: 'events', namespace: 'team' }])
      await eventually(() => may(kube, account, right), deadlineMs);
    return deployment;
  };
  const start = async (deployment: KubeObject): Promise<Pod> => {
    const pod = await runPod(kube, deployment, join(place, deployment.metadata.name));
    pods.push(pod);
    return pod;
  };
  const { APPLIED, FAILED } = PlacementPhase;

  const { pak: token } = await environment.admin.admin.createEnrollment({ name: 'whole', labels: ['whole'] });
  const values = { enrollment: { token }, rbac: { impersonate: [{ namespace: 'team', name: 'deployer' }] } };
  const agent = await start(await install('whole', values));
  const account = await requestToken(kube, 'brokkr', 'whole-brokkr-agent');

  rights('are enough to enroll, and to keep the key in the Secret that is there for it, over upgrades', async () => {
    const secret = { apiVersion: 'v1', kind: 'Secret', namespace: 'brokkr', name: 'whole-brokkr-agent-key' };
    const key = async () => secretText(await observer.get(secret), 'pak');
    await eventually(async () => (await key()).startsWith('brokkr_ag'), deadlineMs);
    const kept = await key();
    await install('whole', { ...values, logLevel: 'debug', podAnnotations: { note: 'upgraded' } });
    assert.is(await key(), kept);
  });

  rights('are enough to be elected, to apply, to repair, to prune and to remove', async () => {
    const web = (colour: string) => configMap('web', { colour }, 'team');
    await environment.submit(
      'web',
      [namespace('made'), web('blue'), workload('web', 'made'), configMap('doomed', {}, 'team')],
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
    assert.is(await observer.get(idOf('doomed')), undefined);
    assert.equal((await observer.get(idOf('web')))?.data, { colour: 'red' });

    await environment.submit('brief', [configMap('brief', {}, 'team')], ['whole']);
    await environment.untilPhase('brief', 'whole', APPLIED);
    await environment.admin.broker.deleteStack({ stack: 'brief' });
    await environment.untilRemoved('brief', 'whole');
    assert.is(await observer.get(idOf('brief')), undefined);
  });

  rights('are enough to find out what is wrong', async () => {
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
    // There is no kubelet to have a log: what is asked is whether it might be read.
    assert.ok(await may(kube, account, { verb: 'get', resource: 'pods', subresource: 'log', namespace: 'made' }));
    assert.not.match(agent.said(), /forbidden/i);
  });

  rights('end there: what is beyond is refused by the API server, and told', async () => {
    await environment.submit(
      'secret',
      [configMap('beside', {}, 'team'), secret('secret', 'team', { password: 'hidden' })],
      ['whole'],
    );
    const placement = await environment.untilPhase('secret', 'whole', FAILED);
    assert.match(placement.message, /secrets.* is forbidden/);
    assert.is(await observer.get(idOf('beside')), undefined);
    const asked = { ...kube, token: account };
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
      assert.is((await requestKube(asked, { method, path, body })).status, 403, `${method} ${path}`);
  });

  rights('let it act as an account that is named, and as no other', async () => {
    const named = { verb: 'impersonate', resource: 'serviceaccounts', namespace: 'team' };
    assert.ok(await may(kube, account, { ...named, name: 'deployer' }));
    assert.not(await may(kube, account, { ...named, name: 'default' }));
    assert.not(await may(kube, account, { ...named, namespace: 'other', name: 'deployer' }));
  });

  rights('can be limited to one namespace, without any in the cluster', async () => {
    await admin.create(secret('limited', 'brokkr', { pak: await environment.createAgent('limited') }), signal);
    const limited = await install('limited', { watchNamespace: 'team', pak: { existingSecret: 'limited' } });
    const objects = helm.render('agent', installation('agent', { watchNamespace: 'team' }));
    assert.equal(
      objects.filter(({ kind }) => kind.startsWith('ClusterRole')).map(({ metadata }) => metadata.name),
      [],
    );
    await agent.end();
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

/** Whether the API server would let the bearer of the token do something. */
async function may(kube: Kube, token: string, resourceAttributes: Readonly<Record<string, string>>): Promise<boolean> {
  const review = {
    apiVersion: 'authorization.k8s.io/v1',
    kind: 'SelfSubjectAccessReview',
    spec: { resourceAttributes },
  };
  const path = '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews';
  const asked = { ...kube, token };
  const { body } = await requestKube<{ status: { allowed: boolean } }>(asked, { method: 'POST', path, body: review });
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
