import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, request } from 'node:http';
import { connect } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { startTestBroker } from '../../../test/broker.ts';
import { consoleHandler, readConsole } from './console.ts';

const place = mkdtempSync(join(tmpdir(), 'brokkr-built-'));
const folder = join(place, 'dist');
mkdirSync(join(folder, 'assets'), { recursive: true });
writeFileSync(join(place, 'secret.js'), 'secret');
writeFileSync(join(folder, 'index.html'), '<title>the page</title>');
writeFileSync(join(folder, 'stamp.txt'), 'of no concern');
writeFileSync(join(folder, 'assets/main-1a2b.js'), 'console.log("hello")'.repeat(100));

const built = await serve(folder);
const unbuilt = await serve(join(place, 'nowhere'));
const pages = suite('serving the console');
pages.after(() => {
  built.close();
  unbuilt.close();
  rmSync(place, { recursive: true });
});

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
}

async function serve(from: string): Promise<{ ask: typeof ask; close: () => void }> {
  const server = createServer(consoleHandler(readConsole(from)));
  await new Promise<void>((settle) => server.listen(0, '127.0.0.1', settle));
  const { port } = server.address() as AddressInfo;
  /** Sends the path as it is written; fetch would resolve its dots. */
  const ask = (path: string, headers: Record<string, string> = {}, method = 'GET') =>
    new Promise<Answer>((settle, fail) => {
      request({ host: '127.0.0.1', port, path, method, headers }, async (response) => {
        const chunks: Buffer[] = [];
        for await (const chunk of response) chunks.push(chunk as Buffer);
        settle({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) });
      })
        .once('error', fail)
        .end();
    });
  return { ask, close: () => server.close() };
}

const html = { accept: 'text/html,*/*' };

pages('answers the page at / and at every view, with no-store', async () => {
  for (const path of ['/', '/?x=1', '/stacks/shop/web', '/agents/eu-1']) {
    const { status, headers, body } = await built.ask(path, html);
    assert.is(status, 200, path);
    assert.match(body.toString(), 'the page');
    assert.is(headers['cache-control'], 'no-store');
    assert.is(headers['content-type'], 'text/html; charset=utf-8');
  }
});

pages('forbids foreign scripts and styles, framing, and sniffing', async () => {
  const { headers } = await built.ask('/');
  const policy = String(headers['content-security-policy']);
  for (const part of ["default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'"])
    assert.match(policy, part);
  assert.not.match(policy, 'unsafe');
  assert.is(headers['x-content-type-options'], 'nosniff');
  assert.is(headers['referrer-policy'], 'no-referrer');
});

pages('lets files with a hash in their name be cached for a year, and compresses them', async () => {
  const { headers, body } = await built.ask('/assets/main-1a2b.js', { 'accept-encoding': 'gzip, br' });
  assert.is(headers['cache-control'], 'public, max-age=31536000, immutable');
  assert.is(headers['content-encoding'], 'gzip');
  assert.match(gunzipSync(body).toString(), 'hello');
  const plain = await built.ask('/assets/main-1a2b.js');
  assert.is(plain.headers['content-encoding'], undefined);
  const again = await built.ask('/assets/main-1a2b.js', { 'if-none-match': String(plain.headers.etag) });
  assert.is(again.status, 304);
  assert.is(again.body.length, 0);
});

pages('answers HEAD without a body', async () => {
  const { status, headers, body } = await built.ask('/', {}, 'HEAD');
  assert.is(status, 200);
  assert.is(headers['content-length'], '23');
  assert.is(body.length, 0);
});

pages('serves nothing but its own files', async () => {
  const outside = [
    '/../secret.js',
    '/assets/../../secret.js',
    '/%2e%2e/secret.js',
    '/..%2fsecret.js',
    '/assets',
    '//secret.js',
  ];
  for (const path of [...outside, '/stamp.txt', '/assets/other.js', '/package.json', '/a\\..\\secret.js'])
    assert.is((await built.ask(path)).status, 404, path);
  assert.is((await built.ask('/', {}, 'POST')).status, 404);
});

pages('explains how to build it when it is not built', async () => {
  const { status, body } = await unbuilt.ask('/', html);
  assert.is(status, 200);
  assert.match(body.toString(), 'npm run console');
  assert.is((await unbuilt.ask('/assets/main-1a2b.js')).status, 404);
});

/** Gets the status of the page. */
async function statusOverHttp2(url: string): Promise<unknown> {
  const session = connect(url);
  try {
    const stream = session.request({ ':path': '/', ...html });
    const [headers] = await once(stream.resume(), 'response');
    await once(stream, 'end');
    return (headers as Record<string, unknown>)[':status'];
  } finally {
    session.close();
  }
}

pages('shares the port with the RPCs and probes of a broker', async () => {
  const test = await startTestBroker();
  try {
    const page = await fetch(test.url, { headers: html });
    assert.is(page.status, 200);
    await page.text();
    assert.is(await (await fetch(`${test.url}/healthz`, { headers: html })).text(), 'ok\n');
    assert.is(await (await fetch(`${test.url}/readyz`, { headers: html })).text(), 'ok\n');
    assert.is((await test.client().broker.whoAmI({})).name, 'admin');
    assert.is(await statusOverHttp2(test.url), 200);
    const call = await fetch(`${test.url}/brokkr.v1.BrokerService/WhoAmI`, {
      method: 'POST',
      headers: { authorization: `Bearer ${test.adminPak}`, 'content-type': 'application/json', ...html },
      body: '{}',
    });
    assert.match(await call.text(), '"name":"admin"');
  } finally {
    await test.close();
  }
});

pages.run();
