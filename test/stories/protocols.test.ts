import { readFileSync, writeFileSync } from 'node:fs';
import * as http2 from 'node:http2';
import { Agent as HttpsAgent } from 'node:https';
import type { TLSSocket } from 'node:tls';
import {
  create,
  type DescMessage,
  type DescService,
  fromBinary,
  type MessageShape,
  toBinary,
} from '@bufbuild/protobuf';
import { Code, ConnectError, createClient, type Transport } from '@connectrpc/connect';
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from '@connectrpc/connect-node';
import { createGrpcWebTransport as createBrowserTransport } from '@connectrpc/connect-web';
import * as grpc from '@grpc/grpc-js';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { AgentService } from '../../gen/brokkr/v1/agent_pb.ts';
import { BrokerService } from '../../gen/brokkr/v1/broker_pb.ts';
import { SessionHint } from '../../gen/brokkr/v1/target_state_pb.ts';
import { Health, HealthCheckResponse_ServingStatus as Status } from '../../gen/grpc/health/v1/health_pb.ts';
import { eventually, refused, startTestBroker, type TestBroker } from '../broker.ts';
import { assertNoKeys } from '../no-keys.ts';
import { makeAuthority } from '../tools/certificates.ts';

const authority = await makeAuthority();
const server = await authority.issue('broker');
const client = await authority.issue('client');
const stranger = await makeAuthority('another authority');
const strange = await stranger.issue('client');

const cleartext = await startTestBroker();
const tls = await startTestBroker({
  postgres: cleartext.postgres,
  config: { tls: { ...server, clientCaFile: undefined } },
});
const mutual = await startTestBroker({
  postgres: cleartext.postgres,
  config: { tls: { ...server, clientCaFile: authority.caFile } },
});

interface Way {
  readonly name: string;
  readonly test: TestBroker;
  readonly nodeOptions: { ca?: Buffer; cert?: Buffer; key?: Buffer };
}
const ca = readFileSync(authority.caFile);
const pair = ({ certFile, keyFile }: { certFile: string; keyFile: string }) => ({
  cert: readFileSync(certFile),
  key: readFileSync(keyFile),
});
const ways: readonly Way[] = [
  { name: 'cleartext', test: cleartext, nodeOptions: {} },
  { name: 'TLS', test: tls, nodeOptions: { ca } },
  { name: 'mutual TLS', test: mutual, nodeOptions: { ca, ...pair(client) } },
];

const protocols = suite('protocols');
const cleanUps: (() => void)[] = [];
protocols.after(async () => {
  for (const cleanUp of cleanUps) cleanUp();
  await Promise.all([tls.close(), mutual.close()]);
  await cleartext.close();
  authority.remove();
  stranger.remove();
});

for (const way of ways) {
  const { url, adminPak } = way.test;
  const bearer = { headers: { authorization: `Bearer ${adminPak}` } };
  const agents = { nodeOptions: { ...way.nodeOptions, agent: keepAliveAgent(way) } };
  const session = { nodeOptions: way.nodeOptions };
  const transports: Readonly<Record<string, () => Transport>> = {
    'gRPC over HTTP/2': () => createGrpcTransport({ baseUrl: url, ...session }),
    'gRPC-Web over HTTP/1.1': () => createGrpcWebTransport({ baseUrl: url, httpVersion: '1.1', ...agents }),
    'gRPC-Web over HTTP/2': () => createGrpcWebTransport({ baseUrl: url, httpVersion: '2', ...session }),
    'Connect over HTTP/1.1': () => createConnectTransport({ baseUrl: url, httpVersion: '1.1', ...agents }),
    'Connect over HTTP/2': () => createConnectTransport({ baseUrl: url, httpVersion: '2', ...session }),
    'Connect with JSON': () =>
      createConnectTransport({ baseUrl: url, httpVersion: '1.1', useBinaryFormat: false, ...agents }),
    'Connect with GET': () => createConnectTransport({ baseUrl: url, httpVersion: '1.1', useHttpGet: true, ...agents }),
  };
  for (const [name, open] of Object.entries(transports)) {
    protocols(`${name} works over ${way.name}: calls, errors with details, streams`, async () => {
      const broker = createClient(BrokerService, open());
      assert.is((await broker.whoAmI({}, bearer)).name, 'admin');
      const error = await refused(broker.getStack({ stack: 'ä/nothing' }, bearer), Code.NotFound, 'stack "ä/nothing"');
      assert.is(error.rawMessage, 'stack "ä/nothing" not found');
      const invalid = await refused(broker.createStack({ name: 'A B' }, bearer), Code.InvalidArgument, 'name');
      assert.is(invalid.details.length, 2);
      await refused(broker.whoAmI({}), Code.Unauthenticated);
      const stack = `s${name}${way.name}`.toLowerCase().replace(/[^a-z0-9]/g, '');
      await broker.createStack({ name: stack }, bearer);
      for await (const first of broker.watchStack({ stack }, bearer)) {
        assert.is(first.stack?.name, stack);
        break;
      }
      await refused(firstOf(broker.watchStack({ stack: 'nothing' }, bearer)), Code.NotFound);
      const health = createClient(Health, open());
      assert.is((await health.check({})).status, Status.SERVING);
    });
  }

  protocols(`grpc-js works over ${way.name}: calls, errors, server and bidirectional streams`, async () => {
    const credentials =
      way.name === 'cleartext'
        ? grpc.credentials.createInsecure()
        : grpc.credentials.createSsl(ca, way.nodeOptions.key ?? null, way.nodeOptions.cert ?? null);
    const address = new URL(url).host;
    const broker = new (grpc.makeGenericClientConstructor(toGrpcService(BrokerService), 'BrokerService'))(
      address,
      credentials,
    ) as unknown as GrpcClient;
    const agent = new (grpc.makeGenericClientConstructor(toGrpcService(AgentService), 'AgentService'))(
      address,
      credentials,
    ) as unknown as GrpcClient;
    cleanUps.push(
      () => broker.close(),
      () => agent.close(),
    );
    const metadata = new grpc.Metadata();
    metadata.set('authorization', `Bearer ${adminPak}`);
    const who = (await unary(broker, 'whoAmI', {}, metadata)) as { name: string };
    assert.is(who.name, 'admin');
    const error = (await unary(broker, 'getStack', { stack: 'nothing' }, metadata).catch(
      (e) => e,
    )) as grpc.ServiceError;
    assert.equal([error.code, error.details], [grpc.status.NOT_FOUND, 'stack "nothing" not found']);
    const denied = (await unary(broker, 'whoAmI', {}, new grpc.Metadata()).catch((e) => e)) as grpc.ServiceError;
    assert.is(denied.code, grpc.status.UNAUTHENTICATED);

    const { admin } = way.test.client(undefined, clientFiles(way));
    const { pak } = await admin.createAgent({ name: 'grpcjs' });
    const asAgent = new grpc.Metadata();
    asAgent.set('authorization', `Bearer ${pak}`);
    const { incarnation } = (await unary(agent, 'startAgent', { clusterId: 'c' }, asAgent)) as { incarnation: bigint };
    const call = (
      agent.session as (metadata: grpc.Metadata) => grpc.ClientDuplexStream<unknown, { hint: SessionHint }>
    )(asAgent);
    const hints: SessionHint[] = [];
    const ended = new Promise<void>((resolve, reject) => {
      call.on('data', ({ hint }) => {
        hints.push(hint);
        call.end();
      });
      call.on('end', resolve);
      call.on('error', reject);
    });
    call.write({ message: { case: 'hello', value: { incarnation } } });
    await ended;
    assert.equal(hints, [SessionHint.READY]);
  });

  protocols(`the browser's gRPC-Web client works over ${way.name}`, async () => {
    if (way.name !== 'cleartext') return;
    const broker = createClient(BrokerService, createBrowserTransport({ baseUrl: url }));
    assert.is((await broker.whoAmI({}, bearer)).name, 'admin');
    assert.is(
      (await refused(broker.getStack({ stack: 'x' }, bearer), Code.NotFound)).rawMessage,
      'stack "x" not found',
    );
  });

  protocols(`our own client works over ${way.name}`, async () => {
    for (const protocol of ['grpc', 'grpc-web', 'connect'] as const) {
      const { broker } = way.test.client(undefined, { protocol, ...clientFiles(way) });
      assert.is((await broker.whoAmI({})).name, 'admin');
    }
  });
}

protocols('TLS refuses old versions and clear text', async () => {
  const { port } = new URL(tls.url);
  const old = await request(`https://127.0.0.1:${port}`, { ca, maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' });
  assert.instance(old, Error);
  assert.instance(await request(`http://127.0.0.1:${port}`, {}), Error);
  const { broker } = tls.client(undefined, { url: tls.url });
  const error = await broker.whoAmI({}).catch(ConnectError.from);
  assert.instance(error, ConnectError, 'an unknown authority is not trusted');
});

protocols('mutual TLS refuses clients without a certificate of its authority', async () => {
  for (const files of [{}, strange]) {
    const { broker } = mutual.client(undefined, { caFile: authority.caFile, ...files, timeoutMs: 5_000 });
    const error = await broker.whoAmI({}).catch(ConnectError.from);
    assert.instance(error, ConnectError);
  }
  await mutual.client(undefined, { caFile: authority.caFile, ...client }).broker.whoAmI({});
});

protocols('new connections get a replaced certificate, but not a broken one', async () => {
  const { broker } = tls.client(undefined, { caFile: authority.caFile });
  await broker.whoAmI({});
  const before = await fingerprint(tls.url);
  const key = readFileSync(server.keyFile);
  writeFileSync(server.keyFile, 'broken');
  await logged(tls, 'could not be read again');
  assert.is(await fingerprint(tls.url), before);
  writeFileSync(server.keyFile, key);
  await authority.issue('broker');
  await logged(tls, 'new TLS certificates are in use');
  assert.is.not(await fingerprint(tls.url), before);
  await broker.whoAmI({});
  // Client certificates are still required after a renewal.
  await logged(mutual, 'new TLS certificates are in use');
  const { broker: stranger } = mutual.client(undefined, { caFile: authority.caFile, timeoutMs: 5_000 });
  assert.instance(await stranger.whoAmI({}).catch(ConnectError.from), ConnectError);
});

protocols('no key is logged', () => {
  for (const { logged } of [cleartext, tls, mutual]) assertNoKeys(logged);
});

protocols.run();

type GrpcClient = Record<string, unknown> & { close(): void };

function unary(from: GrpcClient, method: string, message: unknown, metadata: grpc.Metadata): Promise<unknown> {
  const call = from[method] as (
    message: unknown,
    metadata: grpc.Metadata,
    options: { deadline: number },
    done: (error: Error | null, answer: unknown) => void,
  ) => void;
  return new Promise((resolve, reject) => {
    call.call(from, message, metadata, { deadline: Date.now() + 10_000 }, (error, answer) =>
      error ? reject(error) : resolve(answer),
    );
  });
}

/** Converts a generated service to the terms of grpc-js. */
function toGrpcService(service: DescService): grpc.ServiceDefinition {
  const serialize = (desc: DescMessage) => (message: unknown) =>
    Buffer.from(toBinary(desc, create(desc, message as MessageShape<DescMessage>)));
  const deserialize = (desc: DescMessage) => (bytes: Buffer) => fromBinary(desc, bytes);
  const methods = service.methods.map((method) => [
    method.localName,
    {
      path: `/${service.typeName}/${method.name}`,
      requestStream: method.methodKind === 'client_streaming' || method.methodKind === 'bidi_streaming',
      responseStream: method.methodKind === 'server_streaming' || method.methodKind === 'bidi_streaming',
      requestSerialize: serialize(method.input),
      requestDeserialize: deserialize(method.input),
      responseSerialize: serialize(method.output),
      responseDeserialize: deserialize(method.output),
    },
  ]);
  return Object.fromEntries(methods) as grpc.ServiceDefinition;
}

async function firstOf<T>(answers: AsyncIterable<T>): Promise<T | undefined> {
  for await (const first of answers) return first;
  return undefined;
}

function keepAliveAgent(way: Way) {
  if (way.name === 'cleartext') return undefined;
  const agent = new HttpsAgent({ keepAlive: true, ...way.nodeOptions });
  cleanUps.push(() => agent.destroy());
  return agent;
}

function clientFiles(way: Way) {
  return way.name === 'cleartext' ? {} : { caFile: authority.caFile, ...(way.name === 'mutual TLS' && client) };
}

/** Opens a plain HTTP/2 connection; returns the error, if any. */
function request(url: string, options: http2.SecureClientSessionOptions): Promise<Error | undefined> {
  return new Promise((resolve) => {
    const session = http2.connect(url, options);
    session.on('error', resolve);
    session.on('close', () => resolve(new Error('closed')));
    const stream = session.request({ ':path': '/healthz' });
    stream.on('error', () => {});
    stream.on('response', () => {
      resolve(undefined);
      session.destroy();
    });
    session.setTimeout(20_000, () => session.destroy(new Error('no answer')));
  });
}

function fingerprint(url: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const session = http2.connect(url, { ca });
    session.on('error', reject);
    session.on('connect', (_session, socket) => {
      resolve((socket as TLSSocket).getPeerCertificate().fingerprint256);
      session.close();
    });
  });
}

async function logged(test: TestBroker, text: string): Promise<void> {
  await eventually(() => test.logged.some((line) => line.includes(text)), 60_000);
}
