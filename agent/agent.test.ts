import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Outcome } from '../gen/brokkr/v1/event_pb.ts';
import { PlacementPhase } from '../gen/brokkr/v1/placement_pb.ts';
import { startSimulatedCluster } from '../sandbox/cluster/cluster.ts';
import { configMap } from '../test/agent/test-agent.ts';
import { openEnvironment, until } from '../test/agent/test-environment.ts';
import type { AgentOptions, RunningAgent } from './agent.ts';
import type { Config } from './config.ts';
import { textAt } from './object/kube-object.ts';

const environment = await openEnvironment();
const { admin } = environment;
const { APPLIED, FAILED, PENDING } = PlacementPhase;
const endings: (() => Promise<void>)[] = [];

const agents = suite('agent');
agents.after.each(async () => {
  for (const end of endings.splice(0).reverse()) await end();
});
agents.after(() => environment.close());

/** Starts a cluster that is stopped after the test. */
async function openCluster(options: Parameters<typeof startSimulatedCluster>[0] = {}) {
  const cluster = await startSimulatedCluster({ pods: false, ...options });
  endings.push(() => cluster.stop());
  return cluster;
}

async function startOn(
  pak: string,
  kubeconfig: string,
  options: Partial<AgentOptions> & { config?: Partial<Config> } = {},
): Promise<RunningAgent> {
  const agent = await environment.startAgent(pak, kubeconfig, options);
  endings.push(agent.close);
  return agent;
}

const outcomesOf = async (stack: string) =>
  (await admin.broker.listEvents({ stack, pageSize: 100 })).events.map(({ outcome }) => outcome).reverse();
const isReady = async ({ healthUrl }: RunningAgent) => (await fetch(`${healthUrl}/readyz`)).status === 200;

agents('applies a submission, reports it once, and sends no requests while nothing changes', async () => {
  const cluster = await openCluster();
  await startOn(await environment.createAgent('quiet'), cluster.kubeconfig, { config: { pullIntervalMs: 100 } });
  await environment.submit('quiet', [configMap('quiet', { k: '1' })], ['quiet']);
  await environment.untilPhase('quiet', 'quiet', APPLIED);
  const isWatched = (kind: string) =>
    cluster.requests.some(
      ({ path, query, status }) => path.endsWith(`/${kind}`) && query.includes('watch=true') && status === 200,
    );
  await until(
    () => ['configmaps', 'events', 'pods'].every(isWatched),
    () => 'the watches to be up',
  );
  cluster.clearRequests();
  await new Promise((resolve) => setTimeout(resolve, 600));
  assert.equal(
    cluster.requests.map(({ method, path }) => `${method} ${path}`),
    [],
    'pulls with the same digest do nothing',
  );
  assert.equal(await outcomesOf('quiet'), [Outcome.APPLIED]);
});

agents('pulls at once after a submission, long before its interval is over', async () => {
  const cluster = await openCluster();
  const agent = await startOn(await environment.createAgent('woken'), cluster.kubeconfig, {
    config: { pullIntervalMs: 600_000 },
  });
  await until(
    () => isReady(agent),
    () => 'the agent to be ready',
  );
  await environment.submit('woken', [configMap('woken', { k: '1' })], ['woken']);
  await environment.untilPhase('woken', 'woken', APPLIED);
  await environment.submit('woken', [configMap('woken', { k: '2' })]);
  await until(
    () => textAt(cluster.get('v1', 'ConfigMap', 'default', 'woken'), 'data', 'k') === '2',
    () => 'the second revision to be applied',
  );
});

agents('removes stacks that were deleted while it was down, and only these', async () => {
  const cluster = await openCluster();
  const pak = await environment.createAgent('down');
  const first = await startOn(pak, cluster.kubeconfig);
  await environment.submit('deleted', [configMap('deleted', { k: '1' })], ['down']);
  await environment.submit('kept', [configMap('kept', { k: '1' })], ['down']);
  await Promise.all([
    environment.untilPhase('deleted', 'down', APPLIED),
    environment.untilPhase('kept', 'down', APPLIED),
  ]);
  cluster.put(configMap('foreign', { k: '1' }, 'default') as never);
  await first.close();
  await admin.broker.deleteStack({ stack: 'deleted' });
  await startOn(pak, cluster.kubeconfig);
  await environment.untilRemoved('deleted', 'down');
  assert.is(cluster.get('v1', 'ConfigMap', 'default', 'deleted'), undefined);
  assert.ok(cluster.get('v1', 'ConfigMap', 'default', 'kept'));
  assert.ok(cluster.get('v1', 'ConfigMap', 'default', 'foreign'));
});

agents('reports a failure once, retries, and reports the recovery', async () => {
  const cluster = await openCluster();
  await startOn(await environment.createAgent('failing'), cluster.kubeconfig);
  const heal = cluster.faults.add({ method: 'PATCH', pathIncludes: '/configmaps/failing', status: 500 });
  await environment.submit('failing', [configMap('failing', { k: '1' })], ['failing']);
  const { message } = await environment.untilPhase('failing', 'failing', FAILED);
  assert.match(message, 'ConfigMap default/failing: simulated failure 500');
  await new Promise((resolve) => setTimeout(resolve, 500));
  heal();
  await environment.untilPhase('failing', 'failing', APPLIED);
  assert.equal(await outcomesOf('failing'), [Outcome.FAILED, Outcome.APPLIED]);
});

agents('lets no stack wait for a slow one', async () => {
  const cluster = await openCluster();
  await startOn(await environment.createAgent('slow'), cluster.kubeconfig);
  const speed = cluster.faults.add({ pathIncludes: '/configmaps/slow', delayMs: 20_000 });
  await environment.submit(
    'slow',
    Array.from({ length: 30 }, (_, index) => configMap(`slow-${index}`, {})),
    ['slow'],
  );
  await environment.submit('fast', [configMap('fast', { k: '1' })], ['slow']);
  await environment.untilPhase('fast', 'slow', APPLIED);
  assert.is((await environment.placement('slow', 'slow'))?.phase, PENDING);
  speed();
});

agents('freezes while it is paused, and catches up when it is resumed', async () => {
  const cluster = await openCluster();
  await startOn(await environment.createAgent('paused'), cluster.kubeconfig);
  await environment.submit('paused', [configMap('paused', { k: '1' })], ['paused']);
  await environment.untilPhase('paused', 'paused', APPLIED);
  await admin.admin.pauseAgent({ agent: 'paused' });
  await new Promise((resolve) => setTimeout(resolve, 300));
  await environment.submit('paused', [configMap('paused', { k: '2' })]);
  await new Promise((resolve) => setTimeout(resolve, 300));
  assert.equal(cluster.get('v1', 'ConfigMap', 'default', 'paused')?.data, { k: '1' });
  await admin.admin.resumeAgent({ agent: 'paused' });
  await environment.untilPhase('paused', 'paused', APPLIED);
  assert.equal(cluster.get('v1', 'ConfigMap', 'default', 'paused')?.data, { k: '2' });
});

agents('stops when another one starts with its key', async () => {
  const cluster = await openCluster();
  const pak = await environment.createAgent('twin');
  const first = await startOn(pak, cluster.kubeconfig);
  await until(
    () => isReady(first),
    () => 'the first to be ready',
  );
  await startOn(pak, cluster.kubeconfig);
  assert.is(await first.ended, 'fenced');
});

agents('refuses to serve another cluster than its first, and says so', async () => {
  const pak = await environment.createAgent('bound');
  const mine = await openCluster();
  const first = await startOn(pak, mine.kubeconfig);
  await environment.submit('bound', [configMap('bound', {})], ['bound']);
  await environment.untilPhase('bound', 'bound', APPLIED);
  await first.close();
  const other = await openCluster();
  const second = await startOn(pak, other.kubeconfig);
  await until(
    async () => /belongs to cluster/.test(await (await fetch(`${second.healthUrl}/readyz`)).text()),
    () => 'the reason to be shown',
  );
  assert.is(other.get('v1', 'ConfigMap', 'default', 'bound'), undefined);
  await admin.admin.rebindAgent({ agent: 'bound' });
  await until(
    () => other.get('v1', 'ConfigMap', 'default', 'bound') !== undefined,
    () => 'the objects to be applied to the other cluster',
  );
});

agents('distinguishes a lost cluster from a lost broker', async () => {
  const cluster = await openCluster();
  const agent = await startOn(await environment.createAgent('lost'), cluster.kubeconfig);
  await until(
    () => isReady(agent),
    () => 'the agent to be ready',
  );
  await environment.submit('lost', [configMap('lost', { k: '1' })], ['lost']);
  await environment.untilPhase('lost', 'lost', APPLIED);
  cluster.crash();
  await environment.submit('lost', [configMap('lost', { k: '2' })]);
  const { message } = await environment.untilPhase('lost', 'lost', FAILED);
  assert.match(message, 'no answer from the Kubernetes API');
  assert.match(
    await (await fetch(`${agent.healthUrl}/readyz`)).text(),
    /broker: ok\ncluster: the Kubernetes API does not answer/,
  );
  assert.is((await fetch(`${agent.healthUrl}/healthz`)).status, 200);
});

agents('works within one namespace, and reports what is not possible there', async () => {
  const cluster = await openCluster({ rights: { namespaces: ['team'] } });
  cluster.put({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'team' } });
  const config = { watchNamespace: 'team', namespace: 'team' };
  await startOn(await environment.createAgent('limited'), cluster.kubeconfig, { config });
  await environment.submit('inside', [configMap('inside', { k: '1' })], ['limited']);
  await environment.untilPhase('inside', 'limited', APPLIED);
  assert.ok(cluster.get('v1', 'ConfigMap', 'team', 'inside'));
  await environment.submit('outside', [configMap('outside', { k: '1' }, 'default')], ['limited']);
  assert.match((await environment.untilPhase('outside', 'limited', FAILED)).message, 'limited to the namespace team');
  const role = {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'ClusterRole',
    metadata: { name: 'wide' },
    rules: [],
  };
  await environment.submit('wide', [role], ['limited']);
  assert.match(
    (await environment.untilPhase('wide', 'limited', FAILED)).message,
    'ClusterRole wide: is cluster-scoped',
  );
  for (const stack of ['inside', 'outside', 'wide']) {
    await admin.broker.deleteStack({ stack });
    await environment.untilRemoved(stack, 'limited');
  }
  assert.is(cluster.get('v1', 'ConfigMap', 'team', 'inside'), undefined);
});

agents('registers with the generators of its configuration', async () => {
  const cluster = await openCluster();
  await admin.admin.createGenerator({ name: 'ci' });
  await startOn(await environment.createAgent('member'), cluster.kubeconfig, { config: { generators: ['ci'] } });
  await until(
    async () => (await admin.admin.getAgent({ agent: 'member' })).agent?.generators.includes('ci') ?? false,
    () => 'the registration to be made',
  );
});

agents('exposes its metrics', async () => {
  const cluster = await openCluster();
  const agent = await startOn(await environment.createAgent('figures'), cluster.kubeconfig);
  let text = '';
  await until(
    async () => {
      text = await (await fetch(`${agent.healthUrl}/metrics`)).text();
      return /brokkr_agent_pulls_total\{result="index"\} [1-9]/.test(text);
    },
    () => `a pull to be counted in ${text}`,
  );
});

agents.run();
