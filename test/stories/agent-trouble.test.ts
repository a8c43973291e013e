// time limit: 10 min
import { setTimeout as delay } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type KubeObject, textAt } from '../../agent/object/kube-object.ts';
import { PlacementPhase } from '../../gen/brokkr/v1/placement_pb.ts';
import { openRealSite, openSimulatedSite, type Site } from '../agent/agent-site.ts';
import { openStage, until } from '../agent/agent-stage.ts';
import { configMap, idOfMap } from '../agent/test-agent.ts';
import { needs } from '../runner/needs.ts';

const { APPLIED, FAILED } = PlacementPhase;
const downMs = 60_000;

const stage = await openStage();
const story = suite('a cluster in trouble, with its agent and its broker');
const sites = [await openSimulatedSite(), ...(needs('go') ? [await openRealSite()] : [])];
// In parallel, since these tests mostly wait.
const told = sites.map((site) => ({ site, ending: Promise.allSettled([tell(site)]) }));
story.after(async () => {
  await stage.close();
  for (const site of sites) await site.close();
});
for (const { site, ending } of told)
  story(`refuses one kind, is slow, and is unavailable for ${downMs / 1000} s: ${site.name}`, async () => {
    const [outcome] = await ending;
    if (outcome.status === 'rejected') throw outcome.reason;
  });
story.run();

async function tell(site: Site): Promise<void> {
  const { name, proxy } = site;
  const agent = await stage.agent(await stage.enlist(name), proxy.kubeconfig, { config: { pullIntervalMs: 1_000 } });
  await refusesOneKind(site);
  await isSlow(site);
  await isAway(site, agent.healthUrl);
}

/** Stacks with such an object wait while others continue, and recover by themselves. */
async function refusesOneKind({ name, proxy, eyes }: Site): Promise<void> {
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
    await stage.submit(stack, [ill, configMap(stack, { k: '1' })], [name]);
  }
  await stage.submit(`${name}-well`, [configMap(`${name}-well`, { k: '1' })], [name]);
  await stage.reaches(`${name}-well`, name, APPLIED);
  for (const trouble of troubles) {
    const { message } = await stage.reaches(stackOf(trouble), name, FAILED);
    assert.match(message, `trouble ${trouble.status}`);
    assert.is(await eyes.get(idOfMap(stackOf(trouble))), undefined, 'nothing of what would fail in part is applied');
  }
  await stage.submit(`${name}-well`, [configMap(`${name}-well`, { k: '2' })]);
  await stage.reaches(`${name}-well`, name, APPLIED);
  for (const end of heal) end();
  for (const trouble of troubles) await stage.reaches(stackOf(trouble), name, APPLIED);
}

async function isSlow({ name, proxy }: Site): Promise<void> {
  const quick = proxy.faults.add({ delayMs: 2_000 });
  const objects = Array.from({ length: 20 }, (_, index) => configMap(`${name}-slow-${index}`, { k: '1' }));
  await stage.submit(`${name}-slow`, objects, [name]);
  await stage.reaches(`${name}-slow`, name, APPLIED);
  quick();
}

/** Existing objects stay, changes made meanwhile are applied afterwards, and only what is to be deleted is deleted. */
async function isAway({ name, proxy, eyes, without }: Site, healthUrl: string): Promise<void> {
  const [one, two] = [`${name}-down`, `${name}-meanwhile`];
  await stage.submit(one, [configMap(`${one}-kept`, { k: '1' }), configMap(`${one}-goes`, { k: '1' })], [name]);
  await stage.reaches(one, name, APPLIED);
  const uid = (await eyes.get(idOfMap(`${one}-kept`)))?.metadata.uid;
  const names = async () =>
    (await eyes.list('v1', 'ConfigMap')).map(({ metadata }) => metadata.name).filter((each) => each.startsWith(name));
  const before = await names();
  proxy.clearRequests();
  await without(async () => {
    const backAt = Date.now() + downMs;
    const readiness = async () => (await fetch(`${healthUrl}/readyz`)).text();
    await until(
      async () => /broker: ok\ncluster: (?!ok)/.test(await readiness()),
      () => 'the agent to say that its cluster is away',
    );
    await stage.submit(one, [configMap(`${one}-kept`, { k: '2' })]);
    await stage.submit(two, [configMap(two, { k: '1' })], [name]);
    const { message } = await stage.reaches(one, name, FAILED);
    assert.match(message, /no answer from the Kubernetes API/);
    await delay(Math.max(0, backAt - Date.now()));
  });
  for (const stack of [one, two]) await stage.reaches(stack, name, APPLIED);
  const kept = await eyes.get(idOfMap(`${one}-kept`));
  assert.is(kept?.metadata.uid, uid);
  assert.is(textAt(kept, 'data', 'k'), '2');
  const wanted = [...before.filter((each) => each !== `${one}-goes`), two];
  assert.equal((await names()).sort(), wanted.sort());
}
