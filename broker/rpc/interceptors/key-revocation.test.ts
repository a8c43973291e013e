import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import * as http from 'node:http';
import * as http2 from 'node:http2';
import { create, type DescMessage, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { Code } from '@connectrpc/connect';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { WhoAmIRequestSchema } from '../../../gen/brokkr/v1/pak_pb.ts';
import { GetManifestsRequestSchema, SessionRequestSchema } from '../../../gen/brokkr/v1/target_state_pb.ts';
import { configMap, startTestAgent, type TestAgent } from '../../../test/agents.ts';
import { eventually, refused, startTestBroker } from '../../../test/broker.ts';

const test = await startTestBroker();
const { admin, broker } = test.client();
const connections = new Set<http2.ClientHttp2Session>();

const ends = suite('a call whose key is revoked');
ends.after(async () => {
  for (const connection of connections) connection.destroy();
  await test.close();
});

/** Starts a call on raw HTTP/2, so that a test controls every byte and when it reads; `window` is the initial flow-control window. */
function call(path: string, pak: string, window?: number): http2.ClientHttp2Stream {
  const settings = window === undefined ? {} : { settings: { initialWindowSize: window } };
  const connection = http2.connect(test.url, settings);
  connections.add(connection.on('error', () => {}));
  const headers = { 'content-type': 'application/grpc', te: 'trailers', authorization: `Bearer ${pak}` };
  const stream = connection.request({ ':method': 'POST', ':path': `/brokkr.v1.${path}`, ...headers });
  return stream.on('error', () => {});
}

function framed<S extends DescMessage>(schema: S, init: MessageInitShape<S>): Buffer {
  const message = toBinary(schema, create(schema, init));
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

/** Revokes an agent's key; resolves once the broker refuses it. */
async function revoke(agent: TestAgent): Promise<void> {
  const { paks } = await admin.listPaks({ owner: agent.name });
  await admin.revokePak({ pak: paks[0]?.id ?? '' });
  await eventually(() => refused(agent.client.broker.whoAmI({}), Code.Unauthenticated));
}

ends('is cancelled though it reads nothing, and what it sends afterwards is not stored', async () => {
  const agent = await startTestAgent(test, { name: 'mute' });
  const { stack } = await broker.createStack({ name: 'mute' });
  await broker.addTarget({ stack: 'mute', agent: 'mute' });
  await broker.submitDeployment({ stack: 'mute', manifest: configMap('mute') });
  let sequence = 0n;
  const line = (text: string) => {
    const item = { case: 'line' as const, value: { namespace: 'default', pod: 'p', container: 'c', line: text } };
    const value = { sequence: ++sequence, items: [{ stackId: stack?.id ?? '', item }] };
    return framed(SessionRequestSchema, { message: { case: 'telemetry', value } });
  };
  const kept = async () =>
    (await broker.listPodLogs({ stack: 'mute', pageSize: 500 })).records.map(({ item }) =>
      item?.item.case === 'line' ? item.item.value.line : '',
    );
  const session = call('AgentService/Session', agent.pak, 0);
  const { incarnation } = agent;
  session.write(framed(SessionRequestSchema, { message: { case: 'hello', value: { incarnation } } }));
  session.write(line('before'));
  await eventually(async () => (await kept()).length === 1);
  await revoke(agent);
  const telling = setInterval(() => session.closed || session.write(line('after')), 50);
  try {
    await eventually(() => session.closed, 20_000);
  } finally {
    clearInterval(telling);
  }
  assert.is(session.rstCode, http2.constants.NGHTTP2_CANCEL);
  // A line of another agent, sent later, is stored after those.
  const next = await startTestAgent(test, { name: 'next' });
  await broker.addTarget({ stack: 'mute', agent: 'next' });
  const other = call('AgentService/Session', next.pak);
  other.write(framed(SessionRequestSchema, { message: { case: 'hello', value: { incarnation: next.incarnation } } }));
  other.write(line('from the next'));
  await eventually(async () => (await kept()).includes('from the next'));
  assert.not((await kept()).includes('after'));
});

ends('gets no more of the response that it was reading', async () => {
  const agent = await startTestAgent(test, { name: 'slow' });
  const checksums: Buffer[] = [];
  for (const stack of ['big-1', 'big-2', 'big-3']) {
    await broker.createStack({ name: stack });
    await broker.addTarget({ stack, agent: 'slow' });
    // Random data, which compression cannot shrink.
    const objects = [1, 2, 3].map((at) => configMap(`${stack}-${at}`, randomBytes(700_000).toString('hex')));
    const manifest = Buffer.from(objects.map(String).join('\n---\n'));
    const { deployment } = await broker.submitDeployment({ stack, manifest });
    checksums.push(Buffer.from(deployment?.checksum ?? '', 'hex'));
  }
  const reader = call('AgentService/GetManifests', agent.pak, 65_535);
  let bytes = 0;
  const some = Promise.withResolvers<void>();
  reader.on('data', (data: Buffer) => {
    bytes += data.length;
    if (bytes < 100_000 || bytes - data.length >= 100_000) return;
    reader.pause();
    some.resolve();
  });
  reader.end(framed(GetManifestsRequestSchema, { incarnation: agent.incarnation, checksums }));
  await some.promise;
  await revoke(agent);
  await eventually(() => reader.closed, 20_000).catch(() => {});
  reader.resume();
  await eventually(() => reader.destroyed, 60_000);
  assert.ok(bytes < 2 << 20, `${bytes} bytes`);
});

ends('is refused when its request arrives afterwards', async () => {
  const agent = await startTestAgent(test, { name: 'late' });
  const late = call('BrokerService/WhoAmI', agent.pak);
  const trailers = once(late, 'trailers');
  const headers = once(late, 'response');
  // Its headers were admitted before those of the next call on the broker, which is answered.
  await eventually(() => connections.size > 0 && !late.pending);
  await agent.client.broker.whoAmI({});
  await revoke(agent);
  late.end(framed(WhoAmIRequestSchema, {}));
  const [got] = await Promise.race([trailers, headers.then(([all]) => ('grpc-status' in all ? [all] : trailers))]);
  assert.is(Number((got as http2.IncomingHttpHeaders)['grpc-status']), Code.Unauthenticated);
});

ends('is cancelled when its request does not arrive, over HTTP/2 and HTTP/1.1', async () => {
  const agent = await startTestAgent(test, { name: 'never' });
  const never = call('BrokerService/WhoAmI', agent.pak);
  const old = http.request(`${test.url}/brokkr.v1.BrokerService/WhoAmI`, {
    method: 'POST',
    headers: { 'content-type': 'application/proto', 'content-length': 1_000, authorization: `Bearer ${agent.pak}` },
  });
  old.flushHeaders();
  const cut = new Promise((settle) => old.once('error', settle));
  await eventually(() => !never.pending);
  await agent.client.broker.whoAmI({});
  await revoke(agent);
  await eventually(() => never.rstCode === http2.constants.NGHTTP2_CANCEL, 60_000);
  await cut;
});

ends.run();
