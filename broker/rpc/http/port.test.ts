import { once } from 'node:events';
import * as http from 'node:http';
import * as http2 from 'node:http2';
import * as net from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { Code, ConnectError } from '@connectrpc/connect';
import pino from 'pino';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { SessionHint } from '../../../gen/brokkr/v1/target_state_pb.ts';
import { refused, startTestBroker, type TestBroker } from '../../../test/broker.ts';
import { type Authority, makeAuthority } from '../../../test/tools/certificates.ts';
import { startBroker } from '../../server.ts';
import { openPort } from './port.ts';

const authority: Authority = await makeAuthority();
const certificate = await authority.issue('broker');
const shared = await startTestBroker({ config: { corsOrigins: ['https://console.example'] } });
const secure = { tls: { ...certificate, clientCaFile: undefined } };

const port = suite('the port');
port.after(async () => {
  await shared.close();
  authority.remove();
});

/** Longer than the limit of any test, so a close that waits for it fails the test. */
const graceMs = 60_000;

for (const [kind, config] of [
  ['clear text', {}],
  ['TLS', secure],
] as const) {
  port(`over ${kind} closes at once while clients are attached that do nothing`, async () => {
    await withBroker(config, async (test) => {
      const files = kind === 'TLS' ? { caFile: authority.caFile } : {};
      const holders = (['grpc', 'connect'] as const).map((protocol) => test.client(undefined, { protocol, ...files }));
      for (const { broker } of holders) await broker.whoAmI({});
      const agent = new (kind === 'TLS' ? (await import('node:https')).Agent : http.Agent)({
        keepAlive: true,
        ...(kind === 'TLS' && { rejectUnauthorized: false }),
      });
      await get(`${test.url}/healthz`, agent);
      // A connection that sends nothing.
      const silent = net.connect(new URL(test.url).port as unknown as number, '127.0.0.1');
      await once(silent, 'connect');
      if (kind === 'TLS') silent.destroy();
      const began = performance.now();
      await test.brokers[0]?.close(graceMs);
      assert.ok(performance.now() - began < graceMs / 6, 'the grace was used up');
      agent.destroy();
      silent.destroy();
    });
  });
}

port('lets calls finish and ends streams and long polls as unavailable, then closes', async () => {
  await withBroker({}, async (test) => {
    const { admin, broker } = test.client();
    const { pak } = await admin.createAgent({ name: 'edge' });
    const { agent } = test.client(pak, { timeoutMs: 300_000 });
    const { incarnation } = await agent.startAgent({ clusterId: 'c' });
    const { digest } = await agent.pullTargetState({ incarnation });
    const poll = refused(
      agent.pullTargetState({ incarnation, digest, wait: { seconds: 280n } }),
      Code.Unavailable,
      'the broker is closing',
    );
    const hints: SessionHint[] = [];
    const up = Promise.withResolvers<void>();
    const session = (async () => {
      for await (const { hint } of agent.session(hello(incarnation))) {
        hints.push(hint);
        up.resolve();
      }
    })();
    await up.promise;
    await broker.createStack({ name: 'web' });
    const first = Promise.withResolvers<void>();
    const watch = refused(
      (async () => {
        for await (const _ of broker.watchStack({ stack: 'web' })) first.resolve();
      })(),
      Code.Unavailable,
      'the broker is closing',
    );
    await first.promise;
    // This call is running, so its response must arrive.
    const manifest = Buffer.from(
      JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a' }, data: bulk() }),
    );
    const submit = broker.submitDeployment({ stack: 'web', manifest }).catch(ConnectError.from);
    await delay(100);
    const began = performance.now();
    await test.brokers[0]?.close(graceMs);
    assert.ok(performance.now() - began < graceMs / 3, 'the grace was used up');
    await Promise.all([poll, session, watch]);
    assert.equal(hints, [SessionHint.READY, SessionHint.GOING_AWAY]);
    const answer = await submit;
    // On a slow machine the call may arrive after the port closed.
    if (answer instanceof ConnectError) assert.is(Code[answer.code], 'Unavailable', answer.message);
    else assert.is(answer.deployment?.revision, 1);
  });
});

port('disconnects a client that does not end, after the grace period and not before', async () => {
  await withBroker({}, async (test) => {
    const stubborn = http2.connect(test.url);
    stubborn.on('error', () => {});
    const stream = stubborn.request({
      ':method': 'POST',
      ':path': '/brokkr.v1.BrokerService/WhoAmI',
      'content-type': 'application/grpc',
      authorization: `Bearer ${test.adminPak}`,
    });
    stream.on('error', () => {});
    // Only half of a message is sent, so the call waits for the rest.
    stream.write(Buffer.from([0, 0, 0, 0, 9, 1]));
    await delay(100);
    const closed = once(stubborn, 'close');
    const began = performance.now();
    await test.brokers[0]?.close(500);
    await closed;
    assert.ok(performance.now() - began >= 490);
  });
});

port('ends a call whose request stays incomplete, but not one that streams', async () => {
  const limited = await openPort({
    host: '127.0.0.1',
    port: 0,
    handler: (request) => void request.resume(),
    requestTimeoutMs: (path) => (path === '/endless' ? undefined : 200),
    checkMs: 20,
  });
  const session = http2.connect(`http://127.0.0.1:${limited.port}`);
  const send = (path: string) => {
    const stream = session.request({ ':method': 'POST', ':path': path });
    stream.write('half');
    return stream;
  };
  try {
    const endless = send('/endless');
    const half = send('/half');
    await once(half, 'close');
    assert.is(half.rstCode, http2.constants.NGHTTP2_CANCEL);
    assert.not(endless.destroyed);
  } finally {
    session.destroy();
    await limited.close(0);
  }
});

port('that is taken is named in the error, and nothing stays open', async () => {
  const log = pino({ level: 'silent' });
  const taken = { host: '127.0.0.1', port: Number(new URL(shared.url).port) };
  const options = { log, deliverAdminPak: async () => {} };
  for (const config of [
    { ...shared.config, listen: taken },
    { ...shared.config, metricsListen: taken },
  ]) {
    const error = await startBroker(config, options).then(
      () => undefined,
      (reason: NodeJS.ErrnoException) => reason,
    );
    assert.is(error?.code, 'EADDRINUSE');
    assert.match(error?.message ?? '', String(taken.port));
  }
});

port('answers only probes without a key', async () => {
  assert.equal(await status('/healthz'), [200, 'ok\n']);
  assert.equal(await status('/readyz'), [200, 'ok\n']);
  assert.equal(await status('/nothing'), [404, 'not found\n']);
  assert.is((await status('/brokkr.v1.BrokerService/Nothing'))[0], 404);
});

port('lets pages of the configured origins call, and no others', async () => {
  const preflight = (origin: string) =>
    fetch(`${shared.url}/brokkr.v1.BrokerService/WhoAmI`, {
      method: 'OPTIONS',
      headers: {
        origin,
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'authorization,content-type,connect-protocol-version,x-grpc-web',
      },
    });
  const allowed = await preflight('https://console.example');
  assert.is(allowed.status, 204);
  assert.is(allowed.headers.get('access-control-allow-origin'), 'https://console.example');
  const headers = allowed.headers.get('access-control-allow-headers')?.toLowerCase() ?? '';
  for (const name of ['authorization', 'content-type', 'connect-protocol-version', 'x-grpc-web'])
    assert.ok(headers.split(/, ?/).includes(name), name);
  assert.is(allowed.headers.get('access-control-allow-credentials'), null);
  for (const origin of [
    'https://evil.example',
    'https://console.example.evil.example',
    'null',
    'http://console.example',
  ]) {
    assert.is((await preflight(origin)).headers.get('access-control-allow-origin'), null, origin);
  }
  const call = await fetch(`${shared.url}/brokkr.v1.BrokerService/WhoAmI`, {
    method: 'POST',
    headers: {
      origin: 'https://console.example',
      'content-type': 'application/json',
      authorization: `Bearer ${shared.adminPak}`,
    },
    body: '{}',
  });
  assert.is(call.status, 200);
  assert.is(call.headers.get('access-control-allow-origin'), 'https://console.example');
  assert.match(call.headers.get('access-control-expose-headers') ?? '', /grpc-status/i);
  await call.text();
});

port('drops connections that speak no HTTP, and endless headers', async () => {
  for (const bytes of [
    '\x16\x03\x01\x02\x00\x01\x00',
    'nonsense\r\n\r\n',
    'PRI * HTTP/2.0\r\n\r\nnonsense, and more of it',
  ]) {
    const answer = await talk(bytes);
    assert.not.match(answer, '200 OK', bytes);
  }
  const header = `GET /healthz HTTP/1.1\r\nhost: x\r\nx: ${'y'.repeat(32 << 10)}\r\n\r\n`;
  assert.not.match(await talk(header), '200 OK');
  await shared.client().broker.whoAmI({});
});

port.run();

async function withBroker(config: object, act: (test: TestBroker) => Promise<void>): Promise<void> {
  const test = await startTestBroker({ postgres: shared.postgres, config });
  try {
    await act(test);
  } finally {
    await test.close();
  }
}

async function* hello(incarnation: bigint) {
  yield { message: { case: 'hello' as const, value: { incarnation } } };
  await delay(60_000, undefined, { ref: false });
}

function bulk(): Record<string, string> {
  return Object.fromEntries(Array.from({ length: 20_000 }, (_, at) => [`key${at}`, 'value']));
}

function get(url: string, agent: http.Agent): Promise<void> {
  return new Promise((resolve, reject) => {
    const module = url.startsWith('https') ? import('node:https') : import('node:http');
    module.then(({ get: ask }) =>
      ask(url, { agent }, (response) => response.resume().on('end', resolve).on('error', reject)).on('error', reject),
    );
  });
}

async function status(path: string): Promise<[number, string]> {
  const response = await fetch(shared.url + path);
  return [response.status, await response.text()];
}

/** Sends bytes over a raw connection and returns the reply up to its close. */
async function talk(bytes: string): Promise<string> {
  const socket = net.connect(Number(new URL(shared.url).port), '127.0.0.1');
  let answer = '';
  socket.on('data', (data) => {
    answer += data.toString('latin1');
  });
  socket.on('error', () => {});
  const closed = once(socket, 'close');
  socket.write(bytes, 'latin1');
  await Promise.race([closed, delay(20_000, undefined, { ref: false })]);
  socket.destroy();
  return answer;
}
