// time limit: 15 min
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { PlacementPhase } from '../../gen/brokkr/v1/placement_pb.ts';
import { startSimulatedCluster } from '../../sandbox/cluster/cluster.ts';
import { openStage, until } from '../agent/agent-stage.ts';
import { startAnswerChanger } from '../agent/broker-answers.ts';
import { type Mischief, startProxy } from '../agent/broker-proxy.ts';
import { configMap } from '../agent/test-agent.ts';

const seed = Number(process.env.BROKKR_TEST_SEED ?? Math.floor(Math.random() * 2 ** 31));
process.stdout.write(`bad network: BROKKR_TEST_SEED=${seed}\n`);

const stage = await openStage();
const random = mulberry(seed);
const names = ['one', 'two', 'three'];
/**
 * A swallowed answer is noticed at the call's deadline, a minute at most, and the next try waits for up to half a
 * minute.
 */
const patienceMs = 10 * 60_000;
const network = suite('a bad network between agent and broker');
network.after(() => stage.close());

for (const mischief of ['truncate', 'reset', 'delay', 'empty'] as const satisfies readonly Mischief[]) {
  network(`${mischief}: nothing is deleted, and everything arrives in the end`, async () => {
    const cluster = await startSimulatedCluster({ pods: false });
    const { hostname, port } = new URL(stage.broker.url);
    const proxy = await startProxy({ host: hostname, port: Number(port) }, random);
    const pak = await stage.enlist(mischief);
    const config = { brokerUrl: `http://127.0.0.1:${proxy.port}`, pullIntervalMs: 200 };
    const agent = await stage.agent(pak, cluster.kubeconfig, { config });
    try {
      for (const name of names)
        await stage.submit(`${mischief}-${name}`, [configMap(`${mischief}-${name}`, { k: '0' })], [mischief]);
      for (const name of names) await stage.reaches(`${mischief}-${name}`, mischief, PlacementPhase.APPLIED);
      cluster.clearRequests();
      for (let round = 1; round <= 5; round++) {
        proxy.misbehave(mischief, mischief === 'delay' ? 0.9 : 0.3);
        for (const name of names)
          await stage.submit(`${mischief}-${name}`, [configMap(`${mischief}-${name}`, { k: String(round) })]);
        await new Promise((resolve) => setTimeout(resolve, 400));
      }
      assert.ok(proxy.done[mischief] > 0, 'the proxy did something');
      proxy.misbehave('none', 0);
      for (const name of names)
        await stage.reaches(`${mischief}-${name}`, mischief, PlacementPhase.APPLIED, patienceMs);
      for (const name of names)
        assert.equal(cluster.get('v1', 'ConfigMap', 'default', `${mischief}-${name}`)?.data, { k: '5' });
      assert.equal(
        cluster.requests.filter(({ method }) => method === 'DELETE'),
        [],
      );
    } finally {
      await agent.close();
      await proxy.close();
      await cluster.stop();
    }
  });
}

network('a slow link: target states too large for one answer arrive all the same', async () => {
  const cluster = await startSimulatedCluster({ pods: false });
  const { hostname, port } = new URL(stage.broker.url);
  const proxy = await startProxy({ host: hostname, port: Number(port) }, random);
  const pak = await stage.enlist('far-away');
  const agent = await stage.agent(pak, cluster.kubeconfig, { config: { brokerUrl: `http://127.0.0.1:${proxy.port}` } });
  try {
    proxy.misbehave('trickle');
    // A pull cannot deliver this much before its deadline, although its limit on size would allow it.
    const k = 'x'.repeat(300 << 10);
    for (const name of names) await stage.submit(`far-${name}`, [configMap(`far-${name}`, { k })], ['far-away']);
    for (const name of names) await stage.reaches(`far-${name}`, 'far-away', PlacementPhase.APPLIED, patienceMs);
  } finally {
    await agent.close();
    await proxy.close();
    await cluster.stop();
  }
});

for (const change of ['empty message', 'no entries', 'one entry less', 'last page only', 'older digest'] as const) {
  network(`an answer with ${change}: nothing is deleted, and the answer is rejected`, async () => {
    const cluster = await startSimulatedCluster({ pods: false });
    const changer = await startAnswerChanger(stage.broker.url);
    const name = change.replaceAll(' ', '-');
    const pak = await stage.enlist(name);
    const agent = await stage.agent(pak, cluster.kubeconfig, {
      config: { brokerUrl: changer.url, pullIntervalMs: 100 },
    });
    try {
      for (const stack of names)
        await stage.submit(`${name}-${stack}`, [configMap(`${name}-${stack}`, { k: '0' })], [name]);
      for (const stack of names) await stage.reaches(`${name}-${stack}`, name, PlacementPhase.APPLIED);
      cluster.clearRequests();
      changer.change(change);
      await stage.submit(`${name}-one`, [configMap(`${name}-one`, { k: '1' })]);
      await until(
        () => changer.changed >= 3,
        () => 'some changed answers',
      );
      assert.equal(
        cluster.requests.filter(({ method }) => method !== 'GET'),
        [],
      );
      changer.change(undefined);
      await stage.reaches(`${name}-one`, name, PlacementPhase.APPLIED, patienceMs);
      await until(
        () => cluster.get('v1', 'ConfigMap', 'default', `${name}-one`)?.data !== undefined,
        () => 'the object',
      );
      assert.equal(
        cluster.requests.filter(({ method }) => method === 'DELETE'),
        [],
      );
      for (const stack of names) assert.ok(cluster.get('v1', 'ConfigMap', 'default', `${name}-${stack}`));
    } finally {
      await agent.close();
      await changer.close();
      await cluster.stop();
    }
  });
}

network.run();

/** Generates random numbers that a seed repeats. */
function mulberry(start: number): () => number {
  let state = start;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
