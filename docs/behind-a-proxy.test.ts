import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { connectBroker } from '../client/client.ts';
import { eventually, startTestBroker } from '../test/broker.ts';
import { makeAuthority } from '../test/tools/certificates.ts';
import { readPages } from './pages.ts';

const proxies = suite('proxies in front of the broker');
const page = readPages().get('how-to/behind-a-proxy.md');
const broker = await startTestBroker();
const authority = await makeAuthority();
const { certFile, keyFile } = await authority.issue('proxy');
const folder = mkdtempSync(join(tmpdir(), 'brokkr-proxy-'));
proxies.after(async () => {
  await broker.close();
  authority.remove();
  rmSync(folder, { recursive: true, force: true });
});

// Debian installs servers where only root has its PATH.
const env = { ...process.env, PATH: [process.env.PATH, '/usr/sbin'].join(delimiter), HOME: folder };
const config = join(folder, 'config');
const pem = join(folder, 'tls.pem');
writeFileSync(pem, `${readFileSync(certFile, 'utf8')}\n${readFileSync(keyFile, 'utf8')}`);

const commands = {
  nginx: ['nginx', '-p', folder, '-c', config, '-e', 'stderr', '-g', `daemon off; pid ${join(folder, 'nginx.pid')};`],
  haproxy: ['haproxy', '-db', '-f', config],
  caddy: ['caddy', 'run', '--adapter', 'caddyfile', '--config', config],
} as const;
const blocks = page?.blocks.filter(({ language }) => language === 'text') ?? [];

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** Adapts a configuration of the page to this machine. */
function adapted(text: string, port: number): string {
  const access = /^http \{/m.test(text) ? text.replace('http {', 'http {\n  access_log off;') : text;
  const adaptedText = access
    .replaceAll('127.0.0.1:3000', new URL(broker.url).host)
    .replace('listen 443', `listen 127.0.0.1:${port}`)
    .replace('bind :443', `bind 127.0.0.1:${port}`)
    .replace('https://broker.example.org', `https://127.0.0.1:${port}`)
    .replaceAll('/etc/brokkr/tls.crt', certFile)
    .replaceAll('/etc/brokkr/tls.key', keyFile)
    .replaceAll('/etc/brokkr/tls.pem', pem);
  return text.includes('reverse_proxy')
    ? `{\n  admin off\n  auto_https disable_redirects\n}\n${adaptedText}`
    : adaptedText;
}

for (const [index, [name, [program, ...args]]] of Object.entries(commands).entries()) {
  if (spawnSync(program, ['-v'], { env }).error) {
    process.stdout.write(`SKIP ${name}: not on PATH\n`);
    continue;
  }
  proxies(`${name} passes large submissions and live streams as the page configures it`, async () => {
    const port = await freePort();
    writeFileSync(config, adapted(blocks[index]?.text ?? '', port));
    const child: ChildProcess = spawn(program, args, { env, stdio: ['ignore', 'ignore', 'pipe'] });
    let said = '';
    child.stderr?.on('data', (text: Buffer) => {
      said += text;
    });
    const exited = once(child, 'exit');
    try {
      for (const protocol of ['grpc', 'connect'] as const) await passes(port, `${name}-${protocol}`, protocol);
    } catch (error) {
      throw new Error(`${(error as Error).message}\n${said}`, { cause: error });
    } finally {
      child.kill('SIGTERM');
      await exited;
    }
  });
}

async function passes(port: number, stack: string, protocol: 'grpc' | 'connect'): Promise<void> {
  const url = `https://127.0.0.1:${port}`;
  const client = connectBroker({ url, pak: broker.adminPak, caFile: authority.caFile, protocol });
  const stop = new AbortController();
  try {
    await eventually(() => client.broker.whoAmI({}).catch(() => undefined), 30_000);
    await client.broker.createStack({ name: stack });
    const revisions: number[] = [];
    const watching = (async () => {
      for await (const { stack: seen } of client.broker.watchStack({ stack }, { signal: stop.signal }))
        if (seen) revisions.push(seen.revision);
    })().catch(() => {});
    await eventually(() => revisions.length > 0, 20_000);
    const items = Array.from({ length: 5 }, (_, at) => ({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: `c${at}` },
      data: { k: 'x'.repeat(1_000_000) },
    }));
    const manifest = Buffer.from(JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
    await client.broker.submitDeployment({ stack, manifest });
    await eventually(() => revisions.includes(1), 20_000);
    stop.abort();
    await watching;
  } finally {
    client.close();
  }
}

proxies('are three', () => {
  assert.is(blocks.length, 3);
});

proxies.run();
