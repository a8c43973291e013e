// time limit: 15 min
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { configMap, connect } from '../agent/harness.ts';
import { at, type KubeObject, listAt, textAt } from '../agent/object.ts';
import { DiagnosticState } from '../gen/brokkr/v1/diagnostic_pb.ts';
import { PlacementPhase } from '../gen/brokkr/v1/placement_pb.ts';
import { type Kube, startKube } from '../sandbox/kube.ts';
import { askKube, tokenOf } from '../sandbox/kube-ask.ts';
import { eventually } from '../test/broker.ts';
import { openHelm } from '../test/helm.ts';
import { needs } from '../test/needs.ts';
import { openEyes, openStage } from '../test/stories/agent-stage.ts';
import { installation } from './options.ts';

/** Of a pod's container, as it is rendered. */
interface Variable {
  readonly name: string;
  readonly value?: string;
  readonly valueFrom?: { readonly secretKeyRef?: { readonly name: string; readonly key: string } };
}

/** A release of the chart, of which everything but the pods is in the cluster. */
interface Release {
  readonly token: string;
  /** Of its pods. */
  readonly env: Readonly<Record<string, string>>;
}

const deadlineMs = 90_000;
const root = resolve(import.meta.dirname, '..');
const rights = suite('rights of the agent');
if (needs('go')) await describe();
rights.run();

async function describe(): Promise<void> {
  const helm = await openHelm();
  const place = mkdtempSync(join(tmpdir(), 'brokkr-rights-'));
  const kube = await startKube({ dataDir: join(place, 'kube') });
  const stage = await openStage();
  const admin = connect({ file: kube.kubeconfig });
  const eyes = openEyes(kube.kubeconfigFor(kube.token));
  const { signal } = new AbortController();
  const agents: Agent[] = [];
  rights.after(async () => {
    for (const agent of agents) await agent.end();
    eyes.close();
    admin.close();
    await stage.close();
    await kube.stop();
    rmSync(place, { recursive: true, force: true });
  });
  for (const name of ['brokkr', 'team', 'other'])
    await admin.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } }, signal);

  const install = async (release: string, values: object): Promise<Release> => {
    const all = installation('agent', { broker: { url: stage.broker.url }, ...values });
    helm.install('agent', all, release, kube.kubeconfig);
    const name = `${release}-brokkr-agent`;
    const deployment = await eyes.get({ apiVersion: 'apps/v1', kind: 'Deployment', namespace: 'brokkr', name });
    const { spec } = at(deployment, 'spec', 'template') as { spec: unknown };
    const account = textAt(spec, 'serviceAccountName') ?? '';
    const [container] = listAt(spec, 'containers');
    const env: Record<string, string> = {};
    for (const variable of listAt(container, 'env') as readonly Variable[]) env[variable.name] = await textOf(variable);
    return { token: await tokenOf(kube, 'brokkr', account), env };
  };
  /** As the kubelet would find it. */
  const textOf = async ({ value, valueFrom }: Variable): Promise<string> => {
    const { name, key } = valueFrom?.secretKeyRef ?? {};
    if (name === undefined || key === undefined) return value ?? 'brokkr';
    return secretText(await eyes.get({ apiVersion: 'v1', kind: 'Secret', namespace: 'brokkr', name }), key);
  };
  const start = (name: string, release: Release): Agent => {
    const agent = startAgent(join(place, name), kube, release);
    agents.push(agent);
    return agent;
  };
  const { APPLIED, FAILED } = PlacementPhase;

  const { pak: token } = await stage.admin.admin.createEnrollment({ name: 'whole', labels: ['whole'] });
  const values = { enrollment: { token }, rbac: { impersonate: [{ namespace: 'team', name: 'deployer' }] } };
  const whole = await install('whole', values);
  const agent = start('whole', whole);

  rights('are enough to enroll, and to keep the key in the Secret that is there for it, over upgrades', async () => {
    const secret = { apiVersion: 'v1', kind: 'Secret', namespace: 'brokkr', name: 'whole-brokkr-agent-key' };
    const key = async () => secretText(await eyes.get(secret), 'pak');
    await eventually(async () => (await key()).startsWith('brokkr_ag'), deadlineMs);
    const kept = await key();
    await install('whole', { ...values, logLevel: 'debug', podAnnotations: { note: 'upgraded' } });
    assert.is(await key(), kept);
  });

  rights('are enough to be elected, to apply, to repair, to prune and to remove', async () => {
    const web = (colour: string) => configMap('web', { colour }, 'team');
    await stage.submit(
      'web',
      [namespace('made'), web('blue'), workload('web', 'made'), configMap('doomed', {}, 'team')],
      ['whole'],
    );
    await stage.reaches('web', 'whole', APPLIED);
    const lease = await eyes.get({
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      namespace: 'brokkr',
      name: 'brokkr-agent',
    });
    assert.ok(textAt(lease, 'spec', 'holderIdentity'));
    assert.ok((await eyes.list('v1', 'ConfigMap')).some(({ metadata }) => metadata.name.startsWith('brokkr-inv-')));

    await admin.remove({ ...idOf('web') }, (await eyes.get(idOf('web')))?.metadata.uid ?? '', signal);
    await eventually(() => eyes.get(idOf('web')), deadlineMs);

    await stage.submit('web', [namespace('made'), web('red'), workload('web', 'made')]);
    await stage.reaches('web', 'whole', APPLIED);
    assert.is(await eyes.get(idOf('doomed')), undefined);
    assert.equal((await eyes.get(idOf('web')))?.data, { colour: 'red' });

    await stage.submit('brief', [configMap('brief', {}, 'team')], ['whole']);
    await stage.reaches('brief', 'whole', APPLIED);
    await stage.admin.broker.deleteStack({ stack: 'brief' });
    await stage.leaves('brief', 'whole');
    assert.is(await eyes.get(idOf('brief')), undefined);
  });

  rights('are enough to find out what is wrong', async () => {
    const { broker } = stage.admin;
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
    assert.ok(await may(kube, whole.token, { verb: 'get', resource: 'pods', subresource: 'log', namespace: 'made' }));
    assert.not.match(agent.said(), /forbidden/i);
  });

  rights('end there: what is beyond is refused by the API server, and told', async () => {
    await stage.submit(
      'secret',
      [configMap('beside', {}, 'team'), secret('secret', 'team', { password: 'hidden' })],
      ['whole'],
    );
    const placement = await stage.reaches('secret', 'whole', FAILED);
    assert.match(placement.message, /secrets.* is forbidden/);
    assert.is(await eyes.get(idOf('beside')), undefined);
    const asked = { ...kube, token: whole.token };
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
      assert.is((await askKube(asked, method, path, body)).status, 403, `${method} ${path}`);
  });

  rights('let it act as an account that is named, and as no other', async () => {
    const named = { verb: 'impersonate', resource: 'serviceaccounts', namespace: 'team' };
    assert.ok(await may(kube, whole.token, { ...named, name: 'deployer' }));
    assert.not(await may(kube, whole.token, { ...named, name: 'default' }));
    assert.not(await may(kube, whole.token, { ...named, namespace: 'other', name: 'deployer' }));
  });

  rights('can be limited to one namespace, without any in the cluster', async () => {
    await admin.create(secret('limited', 'brokkr', { pak: await stage.enlist('limited') }), signal);
    const limited = await install('limited', { watchNamespace: 'team', pak: { existingSecret: 'limited' } });
    const objects = helm.render('agent', installation('agent', { watchNamespace: 'team' }));
    assert.equal(
      objects.filter(({ kind }) => kind.startsWith('ClusterRole')).map(({ metadata }) => metadata.name),
      [],
    );
    await agent.end();
    start('limited', limited);
    await stage.submit('limited', [configMap('limited', { colour: 'blue' })], ['limited']);
    await stage.reaches('limited', 'limited', APPLIED);
    assert.equal((await eyes.get(idOf('limited')))?.data, { colour: 'blue' });
    await stage.submit('limited', []);
    await stage.reaches('limited', 'limited', APPLIED);
    assert.is(await eyes.get(idOf('limited')), undefined);
    for (const path of ['/api/v1/namespaces', '/api/v1/namespaces/other/configmaps', '/api/v1/configmaps'])
      assert.is((await askKube({ ...kube, token: limited.token }, 'GET', path)).status, 403, path);
  });
}

interface Agent {
  said(): string;
  end(): Promise<void>;
}

/** The agent as a process, with the environment of its pod and the token of its ServiceAccount. */
function startAgent(folder: string, kube: Kube, { token, env }: Release): Agent {
  mkdirSync(folder);
  const kubeconfig = join(folder, 'kubeconfig');
  writeFileSync(kubeconfig, kube.kubeconfigFor(token), { mode: 0o600 });
  const child: ChildProcess = spawn(process.execPath, ['agent/main.ts'], {
    cwd: root,
    env: {
      ...env,
      // Where this machine is not a pod: a port that is free, a folder that is there, and the API server's address.
      BROKKR_HEALTH_LISTEN: '127.0.0.1:0',
      BROKKR_STATE_DIR: join(folder, 'manifests'),
      KUBECONFIG: kubeconfig,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr])
    stream?.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
  const exited = once(child, 'exit');
  return {
    said: () => said,
    async end() {
      child.kill('SIGTERM');
      await exited;
    },
  };
}

/** Whether the API server would let the bearer of the token do something. */
async function may(kube: Kube, token: string, resourceAttributes: Readonly<Record<string, string>>): Promise<boolean> {
  const review = {
    apiVersion: 'authorization.k8s.io/v1',
    kind: 'SelfSubjectAccessReview',
    spec: { resourceAttributes },
  };
  const path = '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews';
  const { body } = await askKube({ ...kube, token }, 'POST', path, review);
  return (body as { status: { allowed: boolean } }).status.allowed;
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
