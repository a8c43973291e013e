import { setTimeout as delay } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Outcome } from '../../gen/brokkr/v1/event_pb.ts';
import { PlacementPhase } from '../../gen/brokkr/v1/placement_pb.ts';
import { startSimulatedCluster } from '../../sandbox/cluster/cluster.ts';
import { configMap } from '../../test/agent/test-agent.ts';
import { openEnvironment, until } from '../../test/agent/test-environment.ts';
import { textAt } from '../object/kube-object.ts';

const environment = await openEnvironment();
const clusters: Awaited<ReturnType<typeof startSimulatedCluster>>[] = [];
const offline = suite('an agent without its broker');
offline.after(async () => {
  await environment.close();
  await Promise.all(clusters.map((cluster) => cluster.stop()));
});

async function begin(name: string) {
  const cluster = await startSimulatedCluster({ pods: false });
  clusters.push(cluster);
  const pak = await environment.createAgent(name);
  const agent = await environment.startAgent(pak, cluster.kubeconfig, { config: { pullIntervalMs: 200 } });
  await environment.submit(name, [configMap(name, { k: '1' })], [name]);
  await environment.untilPhase(name, name, PlacementPhase.APPLIED);
  const value = () => textAt(cluster.get('v1', 'ConfigMap', 'default', name), 'data', 'k');
  return { cluster, pak, agent, value };
}

offline('keeps the last target state, deletes nothing, and reports afterwards what it did, in order', async () => {
  const { cluster, value } = await begin('alone');
  await environment.broker.restart(0, async () => {
    for (let round = 0; round < 3; round++) {
      cluster.put(configMap('alone', { k: `changed ${round}` }, 'default') as never);
      await until(
        () => value() === '1',
        () => `repair ${round}`,
      );
    }
    cluster.remove('v1', 'ConfigMap', 'default', 'alone');
    await until(
      () => value() === '1',
      () => 'the object to be created again',
    );
    await delay(500);
  });
  const repairs = async () => {
    const { events } = await environment.admin.broker.listEvents({ stack: 'alone', pageSize: 100 });
    return events.filter(({ outcome }) => outcome === Outcome.REPAIRED);
  };
  await until(
    async () => (await repairs()).length >= 4,
    () => 'the repairs to be reported',
  );
  const reported = (await repairs()).reverse();
  const sequences = reported.map(({ sequence }) => sequence);
  assert.equal(
    sequences,
    sequences.toSorted((left, right) => (left < right ? -1 : 1)),
  );
  assert.match(reported.at(-1)?.message ?? '', 'deleted');
  const { events } = await environment.admin.broker.listEvents({ stack: 'alone', pageSize: 100 });
  assert.not(events.some(({ outcome }) => outcome === Outcome.GAP));
});

offline('changes nothing after a restart until it has pulled', async () => {
  const { cluster, pak, agent, value } = await begin('restarted');
  await agent.close();
  cluster.put(configMap('restarted', { k: 'changed meanwhile' }, 'default') as never);
  let again: Awaited<ReturnType<typeof environment.startAgent>> | undefined;
  await environment.broker.restart(0, async () => {
    cluster.clearRequests();
    again = await environment.startAgent(pak, cluster.kubeconfig, { config: { pullIntervalMs: 200 } });
    await until(
      () => cluster.requests.some(({ path }) => path.includes('/configmaps')),
      () => 'the inventory to be read',
    );
    await delay(500);
    assert.is(value(), 'changed meanwhile');
    assert.equal(
      cluster.requests.filter(({ method }) => method !== 'GET'),
      [],
    );
  });
  await until(
    () => value() === '1',
    () => 'the repair after the first pull',
  );
  await again?.close();
});

offline.run();
