import { setTimeout as delay } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { PlacementPhase } from '../../gen/brokkr/v1/placement_pb.ts';
import { startSimulatedCluster } from '../../sandbox/cluster/cluster.ts';
import {
  configMap,
  connect,
  openRealCluster,
  openSimulatedCluster,
  type TestCluster,
  until,
} from '../../test/agent/test-agent.ts';
import { openEnvironment } from '../../test/agent/test-environment.ts';
import { needs } from '../../test/runner/needs.ts';
import { at, textAt } from '../object/kube-object.ts';
import { createLeaderElection, type LeaderElection } from './leader-election.ts';

const times = { leaseMs: 1_000, renewMs: 600, retryMs: 50 };
const lease = (namespace: string) => ({
  apiVersion: 'coordination.k8s.io/v1',
  kind: 'Lease',
  namespace,
  name: 'brokkr-agent',
});

const simulated = suite('election, simulated cluster');
const real = suite('election, real API server');
const agents = suite('agents that stand by for each other');
describe(simulated, await openSimulatedCluster());
if (needs('go')) describe(real, await openRealCluster());
const environment = await openEnvironment();

agents('let one act, and another take over when it ends', async () => {
  const cluster = await startSimulatedCluster({ pods: false });
  const pak = await environment.createAgent('elected');
  const begin = () => environment.startAgent(pak, cluster.kubeconfig, { config: { election: true }, election: times });
  const readiness = async ({ healthUrl }: Awaited<ReturnType<typeof begin>>) => {
    const answer = await fetch(`${healthUrl}/readyz`);
    return { status: answer.status, text: await answer.text() };
  };
  const first = await begin();
  await until(async () => /broker: ok/.test((await readiness(first)).text), 'the first to lead');
  const second = await begin();
  await until(async () => /^standby: .* leads/.test((await readiness(second)).text), 'the second to stand by');
  assert.is((await readiness(second)).status, 200);
  await environment.submit('elected', [configMap('elected', { k: '1' })], ['elected']);
  await environment.untilPhase('elected', 'elected', PlacementPhase.APPLIED);
  const holder = () =>
    textAt(cluster.get('coordination.k8s.io/v1', 'Lease', 'brokkr', 'brokkr-agent'), 'spec', 'holderIdentity');
  const before = holder();
  await first.close();
  assert.is(await first.ended, 'closed');
  await until(async () => /broker: ok/.test((await readiness(second)).text), 'the second to lead');
  assert.is.not(holder(), before);
  await environment.submit('elected', [configMap('elected', { k: '2' })]);
  await environment.untilPhase('elected', 'elected', PlacementPhase.APPLIED);

  // Its lease can no longer be renewed: it stops before another may lead.
  const forget = cluster.faults.add({ method: 'PUT', pathIncludes: '/leases/', status: 500 });
  assert.is(await second.ended, 'deposed');
  forget();
  await cluster.stop();
});

agents.after(() => environment.close());
simulated.run();
real.run();
agents.run();

function describe(test: typeof simulated, testCluster: TestCluster): void {
  let count = 0;
  let namespace = '';
  const clusters: ReturnType<typeof connect>[] = [];
  let ending = new AbortController();
  test.before.each(async () => {
    ending = new AbortController();
    namespace = `election-${++count}`;
    await testCluster.admin.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
  });
  test.after.each(() => {
    ending.abort();
    for (const cluster of clusters.splice(0)) cluster.close();
  });
  test.after(() => testCluster.close());
  const candidate = (holder: string): LeaderElection => {
    const cluster = connect(testCluster.source);
    clusters.push(cluster);
    return createLeaderElection({ cluster, namespace, holder, times });
  };

  test('is won by one of many that ask at once, and only by one at a time', async () => {
    const candidates = Array.from({ length: 4 }, (_, index) => candidate(`agent-${index}`));
    const order: string[] = [];
    const lead = async (election: LeaderElection, index: number) => {
      assert.ok(await election.acquire(ending.signal));
      assert.is(candidates.filter(({ isLeading }) => isLeading).length, 1);
      order.push(`agent-${index}`);
      const kept = new AbortController();
      const keeping = election.holdLease(kept.signal);
      await delay(150);
      kept.abort();
      assert.is(await keeping, 'ended');
      await election.release();
    };
    await Promise.all(candidates.map(lead));
    assert.is(new Set(order).size, 4);
    assert.is(at(await testCluster.admin.get(lease(namespace)), 'spec', 'leaseTransitions'), 3);
  });

  test('is taken over from a leader that is gone, not before its lease is over', async () => {
    const first = candidate('first');
    await first.acquire(ending.signal);
    const wonAt = performance.now();
    const second = candidate('second');
    await second.acquire(ending.signal);
    assert.ok(performance.now() - wonAt >= times.leaseMs - 50);
    assert.is(await first.holdLease(ending.signal), 'lost');
    assert.is(first.isLeading, false);
  });

  test('is lost when the lease is another’s', async () => {
    const leader = candidate('leader');
    await leader.acquire(ending.signal);
    const keeping = leader.holdLease(ending.signal);
    await testCluster.admin.edit(lease(namespace), (live) => ({
      ...live,
      spec: {
        ...(live.spec as object),
        holderIdentity: 'usurper',
        renewTime: new Date().toISOString().replace('Z', '000Z'),
      },
    }));
    assert.is(await keeping, 'lost');
  });
}
