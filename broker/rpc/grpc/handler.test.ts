import * as http2 from 'node:http2';
import { gzipSync } from 'node:zlib';
import { create, toBinary } from '@bufbuild/protobuf';
import { Code } from '@connectrpc/connect';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { WhoAmIResponseSchema } from '../../../gen/brokkr/v1/pak_pb.ts';
import {
  CreateStackRequestSchema,
  GetStackRequestSchema,
  WatchStackRequestSchema,
  WatchStackResponseSchema,
} from '../../../gen/brokkr/v1/stack_pb.ts';
import { PullTargetStateRequestSchema, PullTargetStateResponseSchema } from '../../../gen/brokkr/v1/target_state_pb.ts';
import { BadRequestSchema } from '../../../gen/google/rpc/error_details_pb.ts';
import { startTestAgent } from '../../../test/agents.ts';
import { eventually, startTestBroker } from '../../../test/broker.ts';
import { frame, framed, messagesOf, rawCall } from '../../../test/tools/raw-grpc.ts';

const test = await startTestBroker();
const { admin, broker } = test.client();
const session = http2.connect(test.url);
const bearer = { authorization: `Bearer ${test.adminPak}` };
const whoAmI = '/brokkr.v1.BrokerService/WhoAmI';
const check = '/grpc.health.v1.Health/Check';
const createStack = '/brokkr.v1.BrokerService/CreateStack';
const empty = frame(new Uint8Array());

const native = suite('native gRPC');
native.after(async () => {
  session.destroy();
  await test.close();
});

/** Makes a call whose whole request is given. */
function ask(path: string, request: Uint8Array, headers: http2.OutgoingHttpHeaders = bearer) {
  const { stream, answer } = rawCall(session, path, headers);
  stream.end(request);
  return answer;
}

native('is answered for every content type of gRPC with protobuf, also with parameters', async () => {
  for (const type of [
    'application/grpc',
    'application/grpc+proto',
    'application/grpc;charset=utf-8',
    'Application/GRPC',
  ]) {
    const answer = await ask(check, empty, { 'content-type': type });
    assert.is(answer.status, 0, type);
    assert.equal(answer.body, Buffer.from([0, 0, 0, 0, 2, 8, 1]));
    assert.is(answer.headers['content-type'], 'application/grpc+proto');
    assert.match(String(answer.headers['x-request-id']), /^[\w.-]{1,64}$/);
  }
  assert.is((await ask(check, empty, { 'content-type': 'application/grpc+json' })).headers[':status'], 415);
  assert.is((await ask(check, empty, { 'content-type': 'application/grpcs' })).headers[':status'], 415);
  assert.is((await ask('/brokkr.v1.BrokerService/Nothing', empty)).headers[':status'], 404);
});

native('shares a connection with the other protocols', async () => {
  const json = rawCall(session, whoAmI, { ...bearer, 'content-type': 'application/json' });
  json.stream.end('{}');
  const { headers, body } = await json.answer;
  assert.is(headers[':status'], 200);
  assert.is((JSON.parse(body.toString()) as { name: string }).name, 'admin');
  assert.is((await ask(whoAmI, empty)).status, 0);
  const web = rawCall(session, whoAmI, { ...bearer, 'content-type': 'application/grpc-web+proto' });
  web.stream.end(empty);
  assert.match((await web.answer).body.toString('latin1'), 'grpc-status: 0');
});

native('answers an error in the headers, percent-encoded and with its details', async () => {
  const answer = await ask(createStack, framed(CreateStackRequestSchema, { name: 'Ärger %' }));
  assert.is(answer.trailers, undefined);
  assert.is(answer.body.length, 0);
  assert.is(answer.status, Code.InvalidArgument);
  assert.match(String(answer.headers['grpc-message']), /^[\x20-\x7e]+$/);
  assert.is(answer.error?.findDetails(BadRequestSchema)[0]?.fieldViolations[0]?.field, 'name');
  const missing = await ask('/brokkr.v1.BrokerService/GetStack', framed(GetStackRequestSchema, { stack: 'ä/b' }));
  assert.is(missing.status, Code.NotFound);
  assert.is(missing.error?.rawMessage, 'stack "ä/b" not found');
});

native('takes a message in pieces, and refuses none, two, half a one, and what is none', async () => {
  const pieces = rawCall(session, createStack, bearer);
  for (const byte of framed(CreateStackRequestSchema, { name: 'pieces' })) {
    pieces.stream.write(Buffer.from([byte]));
    await new Promise((resolve) => setImmediate(resolve));
  }
  pieces.stream.end();
  assert.is((await pieces.answer).status, 0);
  assert.is((await ask(whoAmI, Buffer.alloc(0))).status, Code.Unimplemented);
  assert.is((await ask(whoAmI, Buffer.concat([empty, empty]))).status, Code.Unimplemented);
  assert.is((await ask(whoAmI, Buffer.from([0, 0, 0, 0, 9, 1]))).status, Code.InvalidArgument);
  const malformed = await ask(whoAmI, frame(Buffer.alloc(20, 0xff)));
  assert.is(malformed.status, Code.InvalidArgument);
  assert.match(malformed.error?.rawMessage ?? '', 'the request cannot be read');
});

native('refuses a request that ended empty while its key was checked', async () => {
  const agent = await startTestAgent(test, { name: 'brief' });
  for (const method of ['BrokerService/WhoAmI', 'BrokerService/WatchStack', 'AgentService/Session']) {
    // The first call of a connection looks its key up, which takes until after the end of the request.
    const fresh = http2.connect(test.url);
    const headers = method.startsWith('Agent') ? { authorization: `Bearer ${agent.pak}` } : bearer;
    const { stream, answer } = rawCall(fresh, `/brokkr.v1.${method}`, headers);
    stream.end();
    const late = setTimeout(() => stream.close(), 10_000);
    assert.ok(((await answer).status ?? 0) > 0, method);
    clearTimeout(late);
    fresh.destroy();
  }
});

native('takes messages that gzip has compressed, and refuses other compressions by name', async () => {
  const gzipped = { ...bearer, 'grpc-encoding': 'gzip' };
  assert.is((await ask(whoAmI, empty, gzipped)).status, 0, 'a message need not be compressed');
  const request = toBinary(CreateStackRequestSchema, create(CreateStackRequestSchema, { name: 'pressed' }));
  assert.is((await ask(createStack, frame(gzipSync(request), 1), gzipped)).status, 0);
  assert.ok((await broker.getStack({ stack: 'pressed' })).stack);
  const brotli = await ask(whoAmI, empty, { ...bearer, 'grpc-encoding': 'br' });
  assert.is(brotli.status, Code.Unimplemented);
  assert.is(brotli.headers['grpc-accept-encoding'], 'identity,gzip');
  assert.is((await ask(whoAmI, empty, { ...bearer, 'grpc-encoding': 'identity' })).status, 0);
});

native('decompresses no message beyond its limit, or that is not what it says', async () => {
  const gzipped = { ...bearer, 'grpc-encoding': 'gzip' };
  const bomb = gzipSync(Buffer.alloc(64 << 20));
  assert.is((await ask(createStack, frame(bomb, 1), gzipped)).status, Code.ResourceExhausted);
  // The size at the end of the data is a lie.
  bomb.writeUInt32LE(100, bomb.length - 4);
  for (const bytes of [bomb, Buffer.from('no gzip'), Buffer.from('x'), gzipSync('cut short').subarray(0, 12)]) {
    const answer = await ask(createStack, frame(bytes, 1), gzipped);
    assert.is(answer.status, Code.InvalidArgument);
    assert.match(answer.error?.rawMessage ?? '', 'not valid gzip data');
  }
  const unnamed = await ask(whoAmI, frame(Buffer.from('x'), 1));
  assert.is(unnamed.status, Code.InvalidArgument);
  assert.match(unnamed.error?.rawMessage ?? '', 'compressed without a grpc-encoding');
});

native('ends at the deadline of the client, however long that is', async () => {
  const agent = await startTestAgent(test, { name: 'patient' });
  const asAgent = { authorization: `Bearer ${agent.pak}` };
  const { digest } = await agent.client.agent.pullTargetState({ incarnation: agent.incarnation });
  const poll = (timeout: string, seconds: bigint) =>
    ask(
      '/brokkr.v1.AgentService/PullTargetState',
      framed(PullTargetStateRequestSchema, { incarnation: agent.incarnation, digest, wait: { seconds, nanos: 0 } }),
      { ...asAgent, 'grpc-timeout': timeout },
    );
  const late = await poll('300m', 60n);
  assert.is(late.status, Code.DeadlineExceeded);
  assert.is(late.error?.rawMessage, 'the operation timed out');
  for (const timeout of ['99999999H', '9999999S']) {
    const answer = await poll(timeout, 0n);
    assert.is(answer.status, 0, timeout);
    assert.is(messagesOf(PullTargetStateResponseSchema, answer).length, 1);
  }
  assert.is((await poll('0n', 60n)).status, Code.DeadlineExceeded);
  for (const wrong of ['soon', '1', '123456789S', '1 S'])
    assert.is((await poll(wrong, 0n)).status, Code.InvalidArgument, wrong);
});

native('ends a stream at the deadline of the client, after what it has sent', async () => {
  await broker.createStack({ name: 'watched' });
  const watch = (timeout: string) =>
    ask('/brokkr.v1.BrokerService/WatchStack', framed(WatchStackRequestSchema, { stack: 'watched' }), {
      ...bearer,
      'grpc-timeout': timeout,
    });
  const answer = await watch('3S');
  assert.is(answer.status, Code.DeadlineExceeded);
  assert.is(messagesOf(WatchStackResponseSchema, answer)[0]?.stack?.name, 'watched');
  const { stream, answer: long } = rawCall(session, '/brokkr.v1.BrokerService/WatchStack', {
    ...bearer,
    'grpc-timeout': '99999999H',
  });
  stream.end(framed(WatchStackRequestSchema, { stack: 'watched' }));
  await new Promise((resolve) => stream.once('data', resolve));
  stream.close(http2.constants.NGHTTP2_CANCEL);
  assert.is(messagesOf(WatchStackResponseSchema, await long).length, 1);
});

native('refuses before it reads, and has the client stop sending without an error', async () => {
  for (const [path, headers, first, code] of [
    [whoAmI, {}, Buffer.alloc(0), Code.Unauthenticated],
    [whoAmI, bearer, Buffer.from([0, 0, 0x10, 0, 1]), Code.ResourceExhausted],
    ['/brokkr.v1.BrokerService/SubmitDeployment', bearer, Buffer.from([0, 3, 0, 0, 0]), Code.ResourceExhausted],
  ] as const) {
    const { stream, answer } = rawCall(session, path, headers);
    stream.write(first);
    // The request never ends.
    const sending = setInterval(() => stream.writable && stream.write(Buffer.alloc(10_000)), 5);
    const { status, rstCode } = await answer.finally(() => clearInterval(sending));
    assert.is(status, code);
    assert.is(rstCode, http2.constants.NGHTTP2_NO_ERROR);
  }
  assert.is((await ask(whoAmI, empty)).status, 0);
});

native('tells the callers of one connection apart by their keys', async () => {
  const { pak } = await admin.createGenerator({ name: 'other' });
  const name = async (headers: http2.OutgoingHttpHeaders) =>
    messagesOf(WhoAmIResponseSchema, await ask(whoAmI, empty, headers))[0]?.name;
  const other = { authorization: `Bearer ${pak}` };
  for (let round = 0; round < 3; round += 1) assert.equal([await name(bearer), await name(other)], ['admin', 'other']);
  assert.is((await ask(whoAmI, empty, { authorization: `Bearer ${pak}x` })).status, Code.Unauthenticated);
  assert.is((await ask(whoAmI, empty, {})).status, Code.Unauthenticated);
  const { paks } = await admin.listPaks({ owner: 'other' });
  await admin.revokePak({ pak: paks[0]?.id ?? '' });
  await eventually(async () => (await ask(whoAmI, empty, other)).status === Code.Unauthenticated);
  assert.is(await name(bearer), 'admin');
});

native('notices a client that cancels a call or breaks off its request', async () => {
  const metric = async () => {
    const text = await (await fetch(test.brokers[0]!.metricsUrl)).text();
    return /grpc_server_streams\{[^}]*WatchStack[^}]*\} (\d+)/.exec(text)?.[1];
  };
  const before = await metric();
  const { stream, answer } = rawCall(session, '/brokkr.v1.BrokerService/WatchStack', bearer);
  stream.end(framed(WatchStackRequestSchema, { stack: 'watched' }));
  await new Promise((resolve) => stream.once('data', resolve));
  assert.is.not(await metric(), before);
  stream.close(http2.constants.NGHTTP2_CANCEL);
  await answer;
  await eventually(async () => (await metric()) === before);
  const own = http2.connect(test.url);
  const whole = rawCall(own, createStack, { ...bearer, 'x-request-id': 'broken-off' });
  whole.stream.write(framed(CreateStackRequestSchema, { name: 'broken-off' }));
  const second = rawCall(own, whoAmI, bearer);
  second.stream.end(empty);
  await second.answer;
  // The message is complete, but not the request.
  own.destroy();
  await eventually(() =>
    test.logged.some((line) => line.includes('broken-off') && line.includes('the client disconnected')),
  );
  assert.is((await broker.listStacks({})).stacks.filter(({ name }) => name === 'broken-off').length, 0);
});

native('leaves what comes from a page to the code that answers with CORS', async () => {
  const { status } = await ask(whoAmI, empty, { ...bearer, origin: 'https://elsewhere.example' });
  assert.is(status, 0);
});

native.run();
