// time limit: 10 min
import { setTimeout as delay } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type KubeObject, textAt } from '../../agent/object/kube-object.ts';
import { PlacementPhase } from '../../gen/brokkr/v1/placement_pb.ts';
import { type FaultyCluster, openRealFaultyCluster, openSimulatedFaultyCluster } from '../agent/faulty-cluster.ts';
import { configMap, configMapId } from '../agent/test-agent.ts';
import { openEnvironment, until } from '../agent/test-environment.ts';
import { needs } from '../runner/needs.ts';

const { APPLIED, FAILED } = PlacementPhase;
const downMs = 60_000;

const environment = await openEnvironment();
const story = suite('a cluster in trouble, with its agent and its broker');
const sites = [await openSimulatedFaultyCluster(), ...(needs('go') ? [await openRealFaultyCluster()] : [])];
// In parallel, since these tests mostly wait.
const reported = sites.map((faultyCluster) => ({ faultyCluster, ending: Promise.allSettled([tell(faultyCluster)]) }));
story.after(async () => {
  await environment.close();
  for (const faultyCluster of sites) await faultyCluster.close();
});
for (const { faultyCluster, ending } of reported)
  story(`refuses one kind, is slow, and is unavailable for ${downMs / 1000} s: ${faultyCluster.name}`, async () => {
    const [outcome] = await ending;
    if (outcome.status === 'rejected') throw outcome.reason;
  });
story.run();

async function tell(faultyCluster: FaultyCluster): Promise<void> {
  const { name, proxy } = faultyCluster;
  const agent = await environment.startAgent(await environment.createAgent(name), proxy.kubeconfig, {
    config: { pullIntervalMs: 1_000 },
  });
  await refusesOneKind(faultyCluster);
  await isSlow(faultyCluster);
  await isAway(faultyCluster, agent.healthUrl);
}

/** Stacks with such an object wait while others continue, and recover by themselves. */
async function refusesOneKind({ name, proxy, observer }: FaultyCluster): Promise<void> {
  const troubles = [
    { status: 429, kind: 'Secret', plural: 'secrets' },
    { status: 500, kind: 'LimitRange', plural: 'limitranges' },
    { status: 403, kind: 'ResourceQuota', plural: 'resourcequotas' },
  ];
  const heal = troubles.map(({ status, plural }) =>
    proxy.faults.add({ pathIncludes: `/${plural}`, status, message: `trouble ${status}` }),
  );
  const stackOf = ({ status }: { status: number }) => `${name}-ill-${status}`;
  for (const trouble of troubles) {
    const stack = stackOf(trouble);
    const ill: KubeObject = { apiVersion: 'v1', kind: trouble.kind, metadata: { name: stack } };
    await environment.submit(stack, [ill, configMap(stack, { k: '1' })], [name]);
  }
  await environment.submit(`${name}-well`, [configMap(`${name}-well`, { k: '1' })], [name]);
  await environment.untilPhase(`${name}-well`, name, APPLIED);
  for (const trouble of troubles) {
    const { message } = await environment.untilPhase(stackOf(trouble), name, FAILED);
    assert.match(message, `trouble ${trouble.status}`);
    assert.is(
      await observer.get(configMapId(stackOf(trouble))),
      undefined,
      'nothing of what would fail in part is applied',
    );
  }
  await environment.submit(`${name}-well`, [configMap(`${name}-well`, { k: '2' })]);
  await environment.untilPhase(`${name}-well`, name, APPLIED);
  for (const end of heal) end();
  for (const trouble of troubles) await environment.untilPhase(stackOf(trouble), name, APPLIED);
}

async function isSlow({ name, proxy }: FaultyCluster): Promise<void> {
  const quick = proxy.faults.add({ delayMs: 2_000 });
  const objects = Array.from({ length: 20 }, (_, index) => configMap(`${name}-slow-${index}`, { k: '1' }));
  await environment.submit(`${name}-slow`, objects, [name]);
  await environment.untilPhase(`${name}-slow`, name, APPLIED);
  quick();
}

/** Existing objects stay, changes made meanwhile are applied afterwards, and only what is to be deleted is deleted. */
async function isAway({ name, proxy, observer, whileDown }: FaultyCluster, healthUrl: string): Promise<void> {
  const [one, two] = [`${name}-down`, `${name}-meanwhile`];
  await environment.submit(one, [configMap(`${one}-kept`, { k: '1' }), configMap(`${one}-goes`, { k: '1' })], [name]);
  await environment.untilPhase(one, name, APPLIED);
  const uid = (await observer.get(configMapId(`${one}-kept`)))?.metadata.uid;
  const names = async () =>
    (await observer.list('v1', 'ConfigMap'))
      .map(({ metadata }) => metadata.name)
      .filter((each) => each.startsWith(name));
  const before = await names();
  proxy.clearRequests();
  await whileDown(async () => {
    const backAt = Date.now() + downMs;
    const readiness = async () => (await fetch(`${healthUrl}/readyz`)).text();
    await until(
      async () => /broker: ok\ncluster: (?!ok)/.test(await readiness()),
      () => 'the agent to say that its cluster is away',
    );
    await environment.submit(one, [configMap(`${one}-kept`, { k: '2' })]);
    await environment.submit(two, [configMap(two, { k: '1' })], [name]);
    const { message } = await environment.untilPhase(one, name, FAILED);
    assert.match(message, /no answer from the Kubernetes API/);
    await delay(Math.max(0, backAt - Date.now()));
  });
  for (const stack of [one, two]) await environment.untilPhase(stack, name, APPLIED);
  const kept = await observer.get(configMapId(`${one}-kept`));
  assert.is(kept?.metadata.uid, uid);
  assert.is(textAt(kept, 'data', 'k'), '2');
  const wanted = [...before.filter((each) => each !== `${one}-goes`), two];
  assert.equal((await names()).sort(), wanted.sort());
}
