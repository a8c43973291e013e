import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { DescMethod } from '@bufbuild/protobuf';
import { Code } from '@connectrpc/connect';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { configMap } from '../../agent/harness.ts';
import { authFailures } from '../../broker/access/keys.ts';
import { makePak } from '../../broker/access/pak.ts';
import { agentStates } from '../../broker/fleet/rules.ts';
import { healths } from '../../broker/health/rules.ts';
import { jobs } from '../../broker/jobs/jobs.ts';
import { phases } from '../../broker/placement/rules.ts';
import { AdminService } from '../../gen/brokkr/v1/admin_pb.ts';
import { AgentService } from '../../gen/brokkr/v1/agent_pb.ts';
import { BrokerService } from '../../gen/brokkr/v1/broker_pb.ts';
import manifest from '../../package.json' with { type: 'json' };
import { startSimulatedCluster } from '../../sandbox/cluster/cluster.ts';
import { eventually, refused } from '../broker.ts';
import { type Family, readExposition } from '../exposition.ts';
import { assertNoKeys } from '../no-keys.ts';
import { openStage } from './agent-stage.ts';

const stage = await openStage();
const cluster = await startSimulatedCluster();
const pak = await stage.enlist('one');
const agent = await stage.agent(pak, cluster.kubeconfig, { processMetrics: true });
await stage.enlist('never-came');
await stage.submit('web', [configMap('web', { a: 'b' })], ['one']);
await stage.reaches('web', 'one', 2);

const metrics = suite('metrics');
metrics.after(async () => {
  await stage.close();
  await cluster.stop();
});

const textOf = async (url: string) => (await fetch(url)).text();
const brokerText = () => textOf(stage.broker.brokers[0]?.metricsUrl ?? '');
const agentText = () => textOf(`${agent.healthUrl}/metrics`);

type Labels = Readonly<Record<string, readonly string[] | RegExp>>;
type Known = Readonly<Record<string, readonly [type: string, labels: Labels]>>;

const methods = [BrokerService, AgentService, AdminService].flatMap(
  (service): readonly DescMethod[] => service.methods,
);
const ofMethod = {
  grpc_service: [BrokerService, AgentService, AdminService].map(({ typeName }) => typeName),
  grpc_method: methods.map(({ name }) => name),
};
const codes = ['OK', ...Object.values(Code).filter((code) => typeof code === 'string')];
const pools = ['entities', 'statements'];
const version = [manifest.version];

/** Every metric, and all that its labels may say: so their number does not grow with the fleet, nor with what callers choose. */
const ofBroker: Known = {
  grpc_server_handled_total: ['counter', { ...ofMethod, grpc_code: codes }],
  grpc_server_handling_seconds: ['histogram', { ...ofMethod, le: /^[0-9.]+$|^\+Inf$/ }],
  grpc_server_streams: ['gauge', ofMethod],
  brokkr_auth_failures_total: ['counter', { kind: authFailures }],
  brokkr_calls_waiting: ['gauge', { queue: ['calls', 'answers'] }],
  brokkr_build_info: ['gauge', { version }],
  brokkr_database_up: ['gauge', {}],
  brokkr_change_feed_healthy: ['gauge', {}],
  brokkr_change_feed_age_seconds: ['gauge', {}],
  brokkr_change_feed_losses_total: ['counter', {}],
  brokkr_submissions_waiting: ['gauge', {}],
  brokkr_manifests_waiting: ['gauge', {}],
  brokkr_config_last_reload_successful: ['gauge', {}],
  brokkr_config_last_reload_success_timestamp_seconds: ['gauge', {}],
  brokkr_tls_certificate_expiry_timestamp_seconds: ['gauge', {}],
  brokkr_job_changes_total: ['counter', { job: jobs.map(({ name }) => name) }],
  brokkr_database_connections: ['gauge', { pool: pools, state: ['idle', 'busy'] }],
  brokkr_database_connections_max: ['gauge', { pool: pools }],
  brokkr_database_waiting: ['gauge', { pool: pools }],
  brokkr_agents: ['gauge', { state: agentStates }],
  brokkr_placements: ['gauge', { phase: phases }],
  brokkr_placement_health: ['gauge', { health: healths }],
  brokkr_stacks: ['gauge', {}],
  brokkr_clusters_unreachable: ['gauge', {}],
  brokkr_oldest_pending_seconds: ['gauge', {}],
  brokkr_audit_unsealed: ['gauge', {}],
  brokkr_audit_unsealed_seconds: ['gauge', {}],
  brokkr_diagnostics_waiting: ['gauge', {}],
};

const le = /^[0-9.]+$|^\+Inf$/;
const ofAgent: Known = {
  brokkr_agent_build_info: ['gauge', { version }],
  brokkr_agent_pulls_total: ['counter', { result: ['unchanged', 'paused', 'index', 'failed'] }],
  brokkr_agent_events_total: ['counter', { receipt: ['accepted', 'duplicate', 'refused', 'dropped'] }],
  brokkr_agent_pass_seconds: ['histogram', { outcome: /^[a-z_]{1,20}$/, le }],
  brokkr_agent_kubernetes_request_seconds: ['histogram', { method: /^[A-Z]{3,6}$/, status: /^[0-9]{1,3}$/, le }],
  brokkr_agent_session_up: ['gauge', {}],
  brokkr_agent_stacks: ['gauge', { state: ['settled', 'unsettled'] }],
  brokkr_agent_events_pending: ['gauge', {}],
  brokkr_agent_broker_answer_timestamp_seconds: ['gauge', {}],
  brokkr_agent_apply_seconds: ['histogram', { le }],
  brokkr_agent_drifted_objects_total: ['counter', { outcome: ['repaired', 'drifted'] }],
  brokkr_agent_stack_health: ['gauge', { health: healths }],
  brokkr_agent_health_pending: ['gauge', {}],
  brokkr_agent_objects: ['gauge', {}],
  brokkr_agent_watches: ['gauge', { state: ['up', 'down'] }],
  brokkr_agent_peer_up: ['gauge', { peer: ['broker', 'cluster'] }],
  brokkr_agent_cluster_latency_seconds: ['gauge', {}],
  brokkr_agent_leads: ['gauge', {}],
};

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
  metrics(`of the ${program} are the known ones, with their kinds, and labels that are bounded`, async () => {
    await refused(stage.broker.client(makePak('ge').text).broker.whoAmI({}), Code.Unauthenticated);
    await refused(stage.admin.broker.getStack({ stack: 'a-name-that-a-caller-chose' }), Code.NotFound);
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
  await refused(stage.broker.client(makePak('ge').text).broker.whoAmI({}), Code.Unauthenticated);
  const foreign = stage.broker.client(pak);
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

metrics('of the broker tell how long something has not been applied', async () => {
  await stage.admin.broker.createStack({ name: 'waits', labels: ['never-came'] });
  const manifest = Buffer.from(JSON.stringify(configMap('a', { a: 'b' })));
  await stage.admin.broker.submitDeployment({ stack: 'waits', manifest });
  await eventually(async () => {
    const families = readExposition(await brokerText());
    assert.is(sampleOf(families, 'brokkr_placements', { phase: 'pending' }), 1);
    assert.ok(sampleOf(families, 'brokkr_oldest_pending_seconds') > 0);
    return true;
  }, 60_000);
});

metrics('of the fleet are read again after a while', async () => {
  const stacks = async () => sampleOf(readExposition(await brokerText()), 'brokkr_stacks');
  const before = await stacks();
  await stage.admin.broker.createStack({ name: 'just-made' });
  await eventually(async () => assert.is(await stacks(), before + 1) ?? true, 120_000);
});

metrics('are those of the reference', () => {
  const file = resolve(import.meta.dirname, '../../docs/content/reference/metrics.md');
  if (!existsSync(file)) return;
  const named = [...readFileSync(file, 'utf8').matchAll(/^\| `(\w+)` \|/gm)].map(([, name = '']) => name);
  assert.equal(named.sort(), [...Object.keys(ofBroker), ...Object.keys(ofAgent)].sort());
});

metrics.run();
