import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { openTracing } from '../../client/open-tracing.ts';
import { traceIdOf } from '../../client/trace.ts';
import { startSimulatedCluster } from '../../sandbox/cluster/cluster.ts';
import { configMap } from '../agent/test-agent.ts';
import { openEnvironment } from '../agent/test-environment.ts';
import { eventually } from '../broker.ts';
import { testCli } from '../cli.ts';
import { assertNoKeys } from '../no-keys.ts';
import { startOtlpReceiver } from '../tools/otlp-receiver.ts';

const receiver = await startOtlpReceiver();
// Exporters read these variables themselves.
process.env.OTEL_EXPORTER_OTLP_ENDPOINT = receiver.url;
process.env.OTEL_BSP_SCHEDULE_DELAY = '100';
const open = (service: string) => openTracing(process.env, { service, version: 'test' });
const [ofBroker, ofAgent] = [await open('brokkr-broker'), await open('brokkr-agent')];
const environment = await openEnvironment({ tracing: ofBroker });
const cluster = await startSimulatedCluster();
const cli = testCli(environment.broker);
const pak = await environment.createAgent('one');
await environment.startAgent(pak, cluster.kubeconfig, { tracing: ofAgent });

const traces = suite('traces');
traces.after(async () => {
  cli.close();
  await environment.close();
  await cluster.stop();
  await ofBroker?.close();
  await ofAgent?.close();
  await receiver.close();
});

const secret = 'a-value-that-stays-at-home';
const apply = (stack: string, ...more: string[]) =>
  cli.done(['apply', '-f', '-', '--stack', stack, '--label', 'one', ...more], {
    stdin: JSON.stringify(configMap(stack, { secret })),
    env: traced,
  });
let traced: Record<string, string> = {};

for (const [protocol, endpoint] of [
  ['http/protobuf', receiver.url],
  ['grpc', receiver.grpcUrl],
] as const) {
  traces(`go from the command through the broker to the agent's apply, by ${protocol}`, async () => {
    const stack = `by-${protocol.slice(0, 4)}`;
    traced = { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, OTEL_EXPORTER_OTLP_PROTOCOL: protocol };
    await apply(stack);
    await environment.untilPhase(stack, 'one', 2);
    const { deployment } = await environment.admin.broker.getDeployment({ stack });
    assert.match(deployment?.traceId ?? '', /^[0-9a-f]{32}$/);
    const found = (service: string, name: string) =>
      eventually(
        () =>
          receiver.spans.find(
            (span) => span.traceId === deployment?.traceId && span.service === service && span.name === name,
          ),
        60_000,
      );
    const command = await found('brokkr', 'brokkr apply');
    const call = await found('brokkr', 'brokkr.v1.BrokerService/SubmitDeployment');
    const submit = await found('brokkr-broker', 'brokkr.v1.BrokerService/SubmitDeployment');
    const pull = await found('brokkr-agent', 'pull');
    const applied = await found('brokkr-agent', 'apply');
    assert.is(command.parentId, '');
    assert.equal([call.parentId, submit.parentId], [command.spanId, call.spanId]);
    assert.equal([pull.parentId, applied.parentId], [submit.spanId, submit.spanId]);
    assert.is(applied.attributes['brokkr.agent'], 'one');
    assert.is(applied.attributes['brokkr.outcome'], 'applied');
    assert.match(await cli.done(`describe deployment ${stack}`), new RegExp(`^Trace: +${deployment?.traceId}$`, 'm'));
  });
}

traces('carry neither keys nor what objects contain', () => {
  const text = receiver.text();
  assert.ok(text.length > 1_000);
  assertNoKeys(text.split('\n'));
  for (const word of [pak, environment.broker.adminPak, secret]) assert.not.ok(text.includes(word));
});

traces('are stored with a deployment whose caller is in one, even if the broker exports none', async () => {
  const traceParent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
  const manifest = Buffer.from(JSON.stringify(configMap('a', { a: 'b' })));
  await environment.admin.broker.createStack({ name: 'kept' });
  const { deployment } = await environment.admin.broker.submitDeployment(
    { stack: 'kept', manifest },
    { headers: { traceparent: traceParent } },
  );
  assert.is(deployment?.traceId, traceIdOf(traceParent));
});

traces('do not start at the routine work of agents', () => {
  const routine = receiver.spans.filter(({ name, parentId }) => /AgentService/.test(name) && parentId === '');
  assert.equal(routine, []);
});

traces('are off, and load nothing, without an endpoint', async () => {
  assert.is(await openTracing({}, { service: 'a', version: 'b' }), undefined);
  const off = { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url, OTEL_SDK_DISABLED: 'true' };
  assert.is(await openTracing(off, { service: 'a', version: 'b' }), undefined);
});

traces('are refused in one line when the variables are invalid', async () => {
  for (const wrong of [
    { OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json' },
    { OTEL_TRACES_SAMPLER: 'now and then' },
    { OTEL_TRACES_SAMPLER: 'traceidratio', OTEL_TRACES_SAMPLER_ARG: '2' },
  ]) {
    const [name = ''] = Object.keys(wrong).slice(-1);
    const env = { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url, ...wrong };
    const error = await openTracing(env, { service: 'a', version: 'b' }).catch((reason: unknown) => reason);
    assert.instance(error, Error);
    assert.match((error as Error).message, name);
  }
});

traces.run();
