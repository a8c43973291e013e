import { Code, type ConnectError } from '@connectrpc/connect';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { eventually, startTestBroker } from '../../test/broker.ts';
import { defectReporter } from './defects.ts';

const test = await startTestBroker();
const { pak } = await test.client().admin.createAgent({ name: 'faulty' });
const defects: string[] = [];
const { agent, broker } = test.client(pak, {
  interceptors: [defectReporter((method, defect) => defects.push(`${method}: ${defect.message}`))],
});

const reporter = suite('defects of the agent');
reporter.before.each(() => {
  defects.length = 0;
});
reporter.after(() => test.close());

const latency = { seconds: 0n, nanos: 1.5 };
const fails = (call: Promise<unknown>): Promise<ConnectError> =>
  call.then(
    () => {
      throw new Error('the call succeeded');
    },
    (error: ConnectError) => error,
  );

reporter('are reported when a message cannot be encoded', async () => {
  await fails(agent.heartbeat({ incarnation: 1n, cluster: { reachable: true, latency } }));
  assert.is(defects.length, 1);
  assert.match(defects[0] ?? '', /^Heartbeat: .*invalid int32: 1\.5/);
});

reporter('are reported when they end a stream', async () => {
  async function* requests() {
    yield { message: { case: 'hello' as const, value: { incarnation: 1n } } };
    yield { message: { case: 'heartbeat' as const, value: { cluster: { reachable: true, latency } } } };
  }
  await fails(Array.fromAsync(agent.session(requests())));
  await eventually(() => defects.length === 1);
  assert.match(defects[0] ?? '', /^Session: .*invalid int32: 1\.5/);
});

reporter('are not what the broker refuses, what the network breaks or what the caller cancels', async () => {
  assert.is((await fails(broker.listStacks({}))).code, Code.PermissionDenied);
  const controller = new AbortController();
  controller.abort(new TypeError('the caller is gone'));
  await fails(agent.heartbeat({}, { signal: controller.signal }));
  await test.close();
  await fails(agent.heartbeat({}));
  assert.equal(defects, []);
});

reporter.run();
