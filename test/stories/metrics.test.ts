import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { Code } from '@connectrpc/connect';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { makePak } from '../../broker/access/pak.ts';
import { startSimulatedCluster } from '../../sandbox/cluster/cluster.ts';
import { configMap } from '../agent/test-agent.ts';
import { openEnvironment } from '../agent/test-environment.ts';
import { eventually, refused } from '../broker.ts';
import { assertNoKeys } from '../no-keys.ts';
import { type Family, readExposition } from '../tools/exposition.ts';
import { ofAgent, ofBroker } from './metrics.table.ts';

const environment = await openEnvironment();
const cluster = await startSimulatedCluster();
const pak = await environment.createAgent('one');
const agent = await environment.startAgent(pak, cluster.kubeconfig, { processMetrics: true });
await environment.createAgent('never-came');
await environment.submit('web', [configMap('web', { a: 'b' })], ['one']);
await environment.untilPhase('web', 'one', 2);

const metrics = suite('metrics');
metrics.after(async () => {
  await environment.close();
  await cluster.stop();
});

const textOf = async (url: string) => (await fetch(url)).text();
const brokerText = () => textOf(environment.broker.brokers[0]?.metricsUrl ?? '');
const agentText = () => textOf(`${agent.healthUrl}/metrics`);

function sampleOf(families: ReadonlyMap<string, Family>, name: string, labels: Record<string, string> = {}): number {
  const { samples = [] } = families.get(name) ?? {};
  const found = samples.filter((sample) =>
    Object.entries(labels).every(([key, value]) => sample.labels[key] === value),
  );
  assert.is(found.length, 1, `${name} ${JSON.stringify(labels)} has ${found.length} values`);
  return found[0]?.value ?? Number.NaN;
}

for (const [program, read, known] of [
  ['broker', brokerText, ofBroker],
  ['agent', agentText, ofAgent],
] as const) {
  metrics(`of the ${program} are documented, with their types and bounded labels`, async () => {
    await refused(environment.broker.client(makePak('ge').text).broker.whoAmI({}), Code.Unauthenticated);
    await refused(environment.admin.broker.getStack({ stack: 'a-name-that-a-caller-chose' }), Code.NotFound);
    const text = await read();
    const families = readExposition(text);
    const own = [...families.keys()].filter((name) => !/^(process|nodejs)_/.test(name));
    assert.equal(own.sort(), Object.keys(known).sort());
    for (const [name, [type, labels]] of Object.entries(known)) {
      const family = families.get(name);
      assert.ok(family, name);
      assert.is(family.type, type, name);
      assert.ok(family.help.endsWith('.'), `${name} says what it is`);
      for (const sample of family.samples) {
        for (const [label, value] of Object.entries(sample.labels)) {
          const allowed = labels[label];
          const isAllowed = allowed instanceof RegExp ? allowed.test(value) : allowed?.includes(value);
          assert.ok(isAllowed, `${name} has ${label}="${value}"`);
        }
      }
    }
    assertNoKeys(text.split('\n'));
    for (const word of ['a-name-that-a-caller-chose', 'never-came', 'web']) assert.not.ok(text.includes(word), word);
    assert.ok(families.has('process_resident_memory_bytes'));
    assert.ok(families.has('nodejs_eventloop_lag_p99_seconds'));
  });
}

metrics('of the broker count calls, refused keys and the fleet', async () => {
  await refused(environment.broker.client(makePak('ge').text).broker.whoAmI({}), Code.Unauthenticated);
  const foreign = environment.broker.client(pak);
  await refused(foreign.admin.listAgents({}), Code.PermissionDenied);
  await eventually(async () => {
    const families = readExposition(await brokerText());
    const handled = (method: string, code: string) =>
      sampleOf(families, 'grpc_server_handled_total', { grpc_method: method, grpc_code: code });
    assert.ok(handled('SubmitDeployment', 'OK') >= 1);
    assert.ok(handled('WhoAmI', 'Unauthenticated') >= 1);
    assert.ok(sampleOf(families, 'brokkr_auth_failures_total', { kind: 'unknown' }) >= 1);
    assert.ok(sampleOf(families, 'brokkr_auth_failures_total', { kind: 'role' }) >= 1);
    assert.is(sampleOf(families, 'brokkr_agents', { state: 'online' }), 1);
    assert.is(sampleOf(families, 'brokkr_agents', { state: 'never_started' }), 1);
    assert.is(sampleOf(families, 'brokkr_placements', { phase: 'applied' }), 1);
    assert.is(sampleOf(families, 'brokkr_oldest_pending_seconds'), 0);
    assert.is(sampleOf(families, 'brokkr_stacks'), 1);
    assert.is(sampleOf(families, 'brokkr_database_up'), 1);
    assert.is(sampleOf(families, 'brokkr_change_feed_healthy'), 1);
    return true;
  }, 60_000);
});

metrics('of the broker show the age of the oldest unapplied placement', async () => {
  await environment.admin.broker.createStack({ name: 'waits', labels: ['never-came'] });
  const manifest = Buffer.from(JSON.stringify(configMap('a', { a: 'b' })));
  await environment.admin.broker.submitDeployment({ stack: 'waits', manifest });
  await eventually(async () => {
    const families = readExposition(await brokerText());
    assert.is(sampleOf(families, 'brokkr_placements', { phase: 'pending' }), 1);
    assert.ok(sampleOf(families, 'brokkr_oldest_pending_seconds') > 0);
    return true;
  }, 60_000);
});

metrics('of the fleet are refreshed after a while', async () => {
  const stacks = async () => sampleOf(readExposition(await brokerText()), 'brokkr_stacks');
  const before = await stacks();
  await environment.admin.broker.createStack({ name: 'just-made' });
  await eventually(async () => assert.is(await stacks(), before + 1) ?? true, 120_000);
});

metrics('match the reference', () => {
  const file = resolve(import.meta.dirname, '../../docs/content/reference/metrics.md');
  if (!existsSync(file)) return;
  const named = [...readFileSync(file, 'utf8').matchAll(/^\| `(\w+)` \|/gm)].map(([, name = '']) => name);
  assert.equal(named.sort(), [...Object.keys(ofBroker), ...Object.keys(ofAgent)].sort());
});

metrics.run();
