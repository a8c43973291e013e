// time limit: 15 min
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { PlacementPhase } from '../../gen/brokkr/v1/placement_pb.ts';
import { startSimulatedCluster } from '../../sandbox/cluster/cluster.ts';
import { type NetworkFault, startFaultyProxy } from '../agent/faulty-proxy.ts';
import { startTamperingProxy } from '../agent/tampering-proxy.ts';
import { configMap } from '../agent/test-agent.ts';
import { openEnvironment, until } from '../agent/test-environment.ts';

const seed = Number(process.env.BROKKR_TEST_SEED ?? Math.floor(Math.random() * 2 ** 31));
process.stdout.write(`bad network: BROKKR_TEST_SEED=${seed}\n`);

const environment = await openEnvironment();
const random = mulberry(seed);
const names = ['one', 'two', 'three'];
/**
 * A swallowed answer is noticed at the call's deadline, a minute at most, and the next try waits for up to half a
 * minute.
 */
const patienceMs = 10 * 60_000;
const network = suite('a bad network between agent and broker');
network.after(() => environment.close());

for (const fault of ['truncate', 'reset', 'delay', 'empty'] as const satisfies readonly NetworkFault[]) {
  network(`${fault}: nothing is deleted, and everything arrives in the end`, async () => {
    const cluster = await startSimulatedCluster({ pods: false });
    const { hostname, port } = new URL(environment.broker.url);
    const proxy = await startFaultyProxy({ host: hostname, port: Number(port) }, random);
    const pak = await environment.createAgent(fault);
    const config = { brokerUrl: `http://127.0.0.1:${proxy.port}`, pullIntervalMs: 200 };
    const agent = await environment.startAgent(pak, cluster.kubeconfig, { config });
    try {
      for (const name of names)
        await environment.submit(`${fault}-${name}`, [configMap(`${fault}-${name}`, { k: '0' })], [fault]);
      for (const name of names) await environment.untilPhase(`${fault}-${name}`, fault, PlacementPhase.APPLIED);
      cluster.clearRequests();
      for (let round = 1; round <= 5; round++) {
        proxy.inject(fault, fault === 'delay' ? 0.9 : 0.3);
        for (const name of names)
          await environment.submit(`${fault}-${name}`, [configMap(`${fault}-${name}`, { k: String(round) })]);
        await new Promise((resolve) => setTimeout(resolve, 400));
      }
      assert.ok(proxy.injected[fault] > 0, 'the proxy did something');
      proxy.inject('none', 0);
      for (const name of names)
        await environment.untilPhase(`${fault}-${name}`, fault, PlacementPhase.APPLIED, patienceMs);
      for (const name of names)
        assert.equal(cluster.get('v1', 'ConfigMap', 'default', `${fault}-${name}`)?.data, { k: '5' });
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
  const { hostname, port } = new URL(environment.broker.url);
  const proxy = await startFaultyProxy({ host: hostname, port: Number(port) }, random);
  const pak = await environment.createAgent('far-away');
  const agent = await environment.startAgent(pak, cluster.kubeconfig, {
    config: { brokerUrl: `http://127.0.0.1:${proxy.port}` },
  });
  try {
    proxy.inject('trickle');
    // A pull cannot deliver this much before its deadline, although its limit on size would allow it.
    const k = 'x'.repeat(300 << 10);
    for (const name of names) await environment.submit(`far-${name}`, [configMap(`far-${name}`, { k })], ['far-away']);
    for (const name of names)
      await environment.untilPhase(`far-${name}`, 'far-away', PlacementPhase.APPLIED, patienceMs);
  } finally {
    await agent.close();
    await proxy.close();
    await cluster.stop();
  }
});

for (const change of ['empty message', 'no entries', 'one entry less', 'last page only', 'older digest'] as const) {
  network(`an answer with ${change}: nothing is deleted, and the answer is rejected`, async () => {
    const cluster = await startSimulatedCluster({ pods: false });
    const changer = await startTamperingProxy(environment.broker.url);
    const name = change.replaceAll(' ', '-');
    const pak = await environment.createAgent(name);
    const agent = await environment.startAgent(pak, cluster.kubeconfig, {
      config: { brokerUrl: changer.url, pullIntervalMs: 100 },
    });
    try {
      for (const stack of names)
        await environment.submit(`${name}-${stack}`, [configMap(`${name}-${stack}`, { k: '0' })], [name]);
      for (const stack of names) await environment.untilPhase(`${name}-${stack}`, name, PlacementPhase.APPLIED);
      cluster.clearRequests();
      changer.tamper(change);
      await environment.submit(`${name}-one`, [configMap(`${name}-one`, { k: '1' })]);
      await until(
        () => changer.tamperedCount >= 3,
        () => 'some changed answers',
      );
      assert.equal(
        cluster.requests.filter(({ method }) => method !== 'GET'),
        [],
      );
      changer.tamper(undefined);
      await environment.untilPhase(`${name}-one`, name, PlacementPhase.APPLIED, patienceMs);
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
