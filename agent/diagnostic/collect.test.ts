import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { DiagnosticState } from '../../gen/brokkr/v1/diagnostic_pb.ts';
import { Health } from '../../gen/brokkr/v1/health_pb.ts';
import { PlacementPhase } from '../../gen/brokkr/v1/placement_pb.ts';
import { startSimulatedCluster } from '../../sandbox/cluster/cluster.ts';
import { secretObject, secretValue } from '../../test/agent/secret-object.ts';
import {
  configMap,
  connect,
  openRealCluster,
  openSimulatedCluster,
  stackId,
  startTestAgent,
  type TestCluster,
  until,
} from '../../test/agent/test-agent.ts';
import { openEnvironment } from '../../test/agent/test-environment.ts';
import { needs } from '../../test/runner/needs.ts';
import { createInventories } from '../inventory/inventory.ts';
import { type KubeObject, objectIdOf } from '../object/kube-object.ts';
import { diagnose } from './collect.ts';

const asked = suite('diagnostics, asked through the broker');
const environment = await openEnvironment();
const cluster = await startSimulatedCluster({ readyDelayMs: 20 });
asked.after(async () => {
  await environment.close();
  await cluster.stop();
});

asked('are answered at once, with everything that belongs to the stack and nothing that does not', async () => {
  const pak = await environment.createAgent('asked');
  await environment.startAgent(pak, cluster.kubeconfig, { config: { pullIntervalMs: 600_000 } });
  cluster.put(configMap('stranger', { k: 'not-ours' }, 'default') as never);
  await environment.submit(
    'asked',
    [secretObject, web('web', 'web:1'), web('broken', 'web:does-not-exist')],
    ['asked'],
  );
  await environment.untilPhase('asked', 'asked', PlacementPhase.APPLIED);
  const podsOf = (name: string) =>
    cluster.objects().filter(({ kind, metadata }) => kind === 'Pod' && metadata.name.startsWith(`${name}-`));
  const isPhase = (name: string, phase: string) =>
    podsOf(name).some(({ status }) => (status as { phase?: string } | undefined)?.phase === phase);
  const isRolledOut = () =>
    cluster.objects().some(({ kind, metadata, status }) => {
      const ready = (status as { readyReplicas?: number } | undefined)?.readyReplicas;
      return kind === 'ReplicaSet' && metadata.name.startsWith('web-') && ready === 1;
    });
  await until(() => isRolledOut() && isPhase('web', 'Running') && isPhase('broken', 'Pending'), 'the pods');
  const [pod] = podsOf('broken');
  const { name = '', uid = '' } = pod?.metadata ?? {};
  cluster.put({
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { name: 'pull', namespace: 'default' },
    involvedObject: { apiVersion: 'v1', kind: 'Pod', namespace: 'default', name, uid },
    type: 'Warning',
    reason: 'Failed',
    message: 'no such image',
    count: 3,
    lastTimestamp: new Date().toISOString(),
  });
  const { broker } = environment.admin;
  const { diagnostic } = await broker.requestDiagnostic({ stack: 'asked', agent: 'asked' });
  const answer = await broker.getDiagnostic({ id: diagnostic?.id ?? '', wait: { seconds: 40n, nanos: 0 } });
  assert.is(answer.diagnostic?.state, DiagnosticState.DONE, answer.diagnostic?.message);
  const report = answer.diagnostic?.report;
  assert.equal(report?.objects.map(({ object }) => object?.name).sort(), ['broken', 'credentials', 'web']);
  const yaml = report?.objects.map((one) => one.yaml).join('') ?? '';
  assert.not.match(yaml, secretValue);
  assert.not.match(yaml, 'not-ours');
  assert.match(yaml, 'password: "***"');
  const broken = report?.objects.find(({ object }) => object?.name === 'broken');
  assert.is(broken?.health, Health.FAILED, 'as the health of the stack has it');
  assert.match(broken?.message ?? '', /pod broken-.*: ImagePullBackOff/);
  const rollout = report?.objects.find(({ object }) => object?.name === 'web')?.rollout.join();
  assert.match(rollout ?? '', /^[0-9]+: web-.* \(1 of 1 ready\)$/);
  assert.ok(report?.pods.some((one) => one.containers.some(({ state }) => /^waiting: ImagePullBackOff/.test(state))));
  assert.ok(report?.pods.some((one) => one.containers.some(({ logLines }) => /web: line/.test(logLines[0] ?? ''))));
  assert.equal(
    report?.events.map(({ reason, message, count }) => ({ reason, message, count })),
    [{ reason: 'Failed', message: 'no such image', count: 3 }],
  );
});

asked('can be about one object, and say so when there is none of that name', async () => {
  const { broker } = environment.admin;
  const ask = async (name: string) => {
    const object = { apiVersion: 'v1', kind: 'Secret', namespace: '', name };
    const { diagnostic } = await broker.requestDiagnostic({ stack: 'asked', agent: 'asked', object });
    return (await broker.getDiagnostic({ id: diagnostic?.id ?? '', wait: { seconds: 40n, nanos: 0 } })).diagnostic;
  };
  assert.equal(
    (await ask('credentials'))?.report?.objects.map(({ object }) => object?.name),
    ['credentials'],
  );
  const missing = await ask('unknown');
  assert.is(missing?.state, DiagnosticState.FAILED);
  assert.match(missing?.message ?? '', 'the stack has no Secret unknown on this agent');
});

const simulated = suite('diagnosis, simulated cluster');
const real = suite('diagnosis, real API server with a simulated node');
describe(simulated, await openSimulatedCluster({ pods: true }));
if (needs('go')) describe(real, await openRealCluster({ node: true }));
asked.run();
simulated.run();
real.run();

function describe(test: typeof simulated, testCluster: TestCluster): void {
  const observer = connect(testCluster.source);
  const { signal } = new AbortController();
  const stack = stackId('diagnosed');
  test.after(async () => {
    observer.close();
    await testCluster.close();
  });

  test('finds objects, revisions, events, pods and their logs, and notes what it cannot see', async () => {
    const testAgent = await startTestAgent(testCluster.source);
    const applied = testAgent.nextEvent(stack, 'applied');
    testAgent.setTarget([
      { stackId: stack, objects: [secretObject, web('seen', 'web:1'), configMap('plain', { k: '1' })] },
    ]);
    await applied;
    await testAgent.close();
    const live = await testCluster.admin.get(objectIdOf(web('seen', 'web:1')));
    await testCluster.admin.create({
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name: 'said', namespace: 'default' },
      involvedObject: { kind: 'Deployment', namespace: 'default', name: 'seen', uid: live?.metadata.uid },
      type: 'Normal',
      reason: 'Said',
      message: 'something',
    });
    const inventories = createInventories(observer, 'brokkr');
    const look = () =>
      diagnose({ cluster: observer, inventories }, { id: 'q', stackId: stack, object: undefined }, signal);
    await until(
      async () => (await look()).pods.some(({ containers }) => containers.some(({ state }) => state === 'running')),
      'a running pod',
    );
    const findings = await look();
    const [pod] = findings.pods;
    assert.match(pod?.containers[0]?.logLines.at(-1) ?? '', new RegExp(`^${pod?.name} web: line`));
    assert.is(findings.objects.find(({ object }) => object.kind === 'Deployment')?.rollout.length, 1);
    assert.equal(findings.objects.map(({ object }) => object.name).sort(), ['credentials', 'plain', 'seen']);
    assert.not.match(JSON.stringify(findings), secretValue);
    assert.ok(findings.events.some(({ reason }) => reason === 'Said'));
    if (!testCluster.simulated) return;
    const forget = testCluster.simulated.faults.add({
      pathIncludes: '/events',
      status: 403,
      message: 'events are not for you',
    });
    const narrow = await look();
    forget();
    assert.is(narrow.objects.length, 3);
    assert.ok(narrow.notes.some((note) => /events in default: .*not for you/.test(note)));
  });

  test('asks for no more than what the expressions of a selector select as well', async () => {
    if (!testCluster.simulated) return;
    const picky = stackId('picky');
    const { spec, ...rest } = web('picky', 'web:1');
    const matchExpressions = [{ key: 'app', operator: 'NotIn', values: ['seen'] }];
    const selector = { matchLabels: { app: 'picky' }, matchExpressions };
    const testAgent = await startTestAgent(testCluster.source);
    const applied = testAgent.nextEvent(picky, 'applied');
    testAgent.setTarget([{ stackId: picky, objects: [{ ...rest, spec: { ...(spec as object), selector } }] }]);
    await applied;
    await testAgent.close();
    testCluster.simulated.clearRequests();
    const inventories = createInventories(observer, 'brokkr');
    const request = { id: 'q', stackId: picky, object: undefined };
    await until(
      async () => (await diagnose({ cluster: observer, inventories }, request, signal)).pods.length > 0,
      'its pods',
    );
    const asked = testCluster.simulated.requests.filter(({ path }) => path.endsWith('/replicasets'));
    const selectors = new Set(asked.map(({ query }) => new URLSearchParams(query).get('labelSelector')));
    assert.equal([...selectors], ['app=picky,app notin (seen)']);
  });

  test('ends in time, with what was found until then', async () => {
    if (!testCluster.simulated) return;
    const forget = testCluster.simulated.faults.add({ pathIncludes: '/events', delayMs: 3_000 });
    const inventories = createInventories(observer, 'brokkr');
    const request = { id: 'q', stackId: stack, object: undefined };
    const findings = await diagnose({ cluster: observer, inventories }, request, signal, 500);
    forget();
    assert.is(findings.objects.length, 3);
    assert.ok(findings.notes.some((note) => /events in default: not read in time/.test(note)));
  });
}

function web(name: string, image: string): KubeObject {
  const labels = { app: name };
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, namespace: 'default' },
    spec: {
      replicas: 1,
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers: [{ name: 'web', image }] } },
    },
  };
}
