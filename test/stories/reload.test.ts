import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import * as tls from 'node:tls';
import { Code } from '@connectrpc/connect';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { makePak } from '../../broker/access/pak.ts';
import { type BrokkrClient, connectBroker } from '../../client/client.ts';
import { startSimulatedCluster } from '../../sandbox/cluster/cluster.ts';
import { startPostgres } from '../../sandbox/postgres/postgres.ts';
import { eventually, refused } from '../broker.ts';
import { makeAuthority } from '../tools/certificates.ts';
import { readExposition } from '../tools/exposition.ts';

const root = resolve(import.meta.dirname, '../..');
const folder = mkdtempSync(join(tmpdir(), 'brokkr-reload-'));
const dataDir = mkdtempSync(join(tmpdir(), 'brokkr-database-'));
const postgres = await startPostgres({ dataDir, fsync: false });
const authority = await makeAuthority();
const [first, second] = [await authority.issue('first'), await authority.issue('second')];
const cluster = await startSimulatedCluster();
const kubeconfig = join(folder, 'kubeconfig');
writeFileSync(kubeconfig, cluster.kubeconfig, { mode: 0o600 });

interface Program {
  readonly child: ChildProcess;
  /** Returns the lines that it has logged. */
  lines(): Record<string, unknown>[];
  /** Waits for the first line with this text, after the one with that number. */
  says(text: string, after?: number): Promise<Record<string, unknown>>;
}

function start(file: string, env: Record<string, string>): Program {
  const child = spawn(process.execPath, [join(root, file)], {
    env: { PATH: process.env.PATH, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let said = '';
  child.stdout.on('data', (data: Buffer) => {
    said += data;
  });
  const lines = () =>
    said
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  const says = (text: string, after = 0) =>
    eventually(
      () =>
        lines()
          .slice(after)
          .find(({ msg }) => msg === text),
      60_000,
    );
  return { child, lines, says };
}

/** Replaces the file atomically, since the broker watches it. */
function write(file: string, variables: Record<string, string>): void {
  const text = Object.entries(variables).map(([name, value]) => `${name}=${value}\n`);
  writeFileSync(`${file}.new`, `# what is changed while it runs\n\n${text.join('')}`);
  renameSync(`${file}.new`, file);
}

const brokerFile = join(folder, 'broker.env');
const pakFile = join(folder, 'pak');
const usual = { BROKKR_LOG_LEVEL: 'info', BROKKR_TLS_CERT: first.certFile, BROKKR_TLS_KEY: first.keyFile };
write(brokerFile, usual);
const broker = start('broker/main.ts', {
  BROKKR_DATABASE_URL: postgres.url,
  BROKKR_LISTEN: '127.0.0.1:0',
  BROKKR_METRICS_LISTEN: '127.0.0.1:0',
  BROKKR_ADMIN_PAK_FILE: pakFile,
  BROKKR_LOG_LEVEL: 'error',
  BROKKR_CONFIG_FILE: brokerFile,
});
const { url, metricsUrl } = (await broker.says('the broker is ready')) as { url: string; metricsUrl: string };
const clients: BrokkrClient[] = [];
const connect = () => {
  const client = connectBroker({ url, pak: readFileSync(pakFile, 'utf8').trim(), caFile: authority.caFile });
  clients.push(client);
  return client;
};

const reloads = suite('reloading');
reloads.after(async () => {
  for (const client of clients) client.close();
  if (broker.child.exitCode === null) {
    broker.child.kill('SIGTERM');
    await once(broker.child, 'exit');
  }
  await cluster.stop();
  await postgres.stop();
  authority.remove();
  for (const path of [folder, dataDir]) rmSync(path, { recursive: true, force: true });
});

/** Makes the broker reread its file; returns the first line with this text that it logs then. */
async function hangUp(variables: Record<string, string>, text = 'the configuration was read again') {
  const before = broker.lines().length;
  write(brokerFile, { ...usual, ...variables });
  broker.child.kill('SIGHUP');
  return broker.says(text, before);
}

const gauge = async (name = 'brokkr_config_last_reload_successful') =>
  readExposition(await (await fetch(metricsUrl)).text()).get(name)?.samples[0]?.value ?? Number.NaN;

reloads('applies another log level', async () => {
  await connect().broker.whoAmI({});
  assert.not.ok(broker.lines().some(({ msg }) => msg === 'a call ended'));
  await hangUp({ BROKKR_LOG_LEVEL: 'debug' });
  await connect().broker.whoAmI({});
  await broker.says('a call ended');
});

reloads('applies other limits', async () => {
  const { broker: calls } = connect();
  await calls.createStack({ name: 'web' });
  await hangUp({ BROKKR_STREAMS_PER_KEY: '1' });
  const end = new AbortController();
  const watch = () => calls.watchStack({ stack: 'web' }, { signal: end.signal })[Symbol.asyncIterator]().next();
  await watch();
  await refused(watch(), Code.ResourceExhausted, '1 streams');
  await hangUp({ BROKKR_STREAMS_PER_KEY: '2' });
  await watch();
  end.abort();
});

reloads('applies other certificates', async () => {
  const subject = async () => {
    const { hostname: host, port } = new URL(url);
    const socket = tls.connect({
      host,
      port: Number(port),
      ca: readFileSync(authority.caFile),
      servername: 'localhost',
    });
    await once(socket, 'secureConnect');
    const { CN } = socket.getPeerCertificate().subject;
    socket.destroy();
    return CN;
  };
  assert.is(await subject(), 'first');
  await hangUp({ BROKKR_TLS_CERT: second.certFile, BROKKR_TLS_KEY: second.keyFile }, 'new TLS certificates are in use');
  assert.is(await subject(), 'second');
  assert.ok((await gauge('brokkr_tls_certificate_expiry_timestamp_seconds')) > Date.now() / 1000);
});

reloads('is not needed for the certificates of a client, which reads them for each connection', async () => {
  const caFile = join(folder, 'ca.pem');
  const stranger = await makeAuthority('stranger');
  writeFileSync(caFile, readFileSync(stranger.caFile));
  stranger.remove();
  const client = connectBroker({ url, pak: readFileSync(pakFile, 'utf8').trim(), caFile });
  clients.push(client);
  await client.broker.whoAmI({}).then(
    () => assert.unreachable('a stranger is not to be trusted'),
    () => {},
  );
  writeFileSync(caFile, readFileSync(authority.caFile));
  assert.is((await client.broker.whoAmI({})).name, 'admin');
});

reloads('refuses an invalid configuration as a whole, in one line, and continues', async () => {
  const key = makePak('ad').text;
  for (const [wrong, told] of [
    [{ BROKKR_LOG_LEVEL: 'loud', BROKKR_STREAMS_PER_KEY: '1' }, 'BROKKR_LOG_LEVEL: "loud"'],
    [{ BROKKR_STREAMS_PER_KEY: '0' }, 'BROKKR_STREAMS_PER_KEY'],
    [{ BROKKR_COLOUR: key }, 'BROKKR_COLOUR is not a variable'],
  ] as const) {
    const line = await hangUp(wrong, 'the new configuration cannot be used; the old one stays');
    assert.match(String(line.reason), told);
    assert.not.match(JSON.stringify(line), key);
    assert.is(await gauge(), 0);
    assert.is((await connect().broker.whoAmI({})).name, 'admin');
  }
  await hangUp({});
  assert.is(await gauge(), 1);
});

reloads('names the variables that need a restart', async () => {
  const line = await hangUp({ BROKKR_WORKERS: '2' }, 'these settings have changed and need a restart');
  assert.equal(line.variables, ['BROKKR_WORKERS']);
  await hangUp({});
});

reloads('happens by itself when the file changes', async () => {
  const before = broker.lines().length;
  write(brokerFile, { ...usual, BROKKR_CALLS_WAITING: '7' });
  await broker.says('the configuration was read again', before);
});

reloads('works the same for an agent', async () => {
  const file = join(folder, 'agent.env');
  write(file, { BROKKR_LOG_LEVEL: 'info' });
  const agent = start('agent/main.ts', {
    BROKKR_BROKER_URL: 'http://127.0.0.1:9',
    BROKKR_PAK: makePak('ag').text,
    BROKKR_HEALTH_LISTEN: '127.0.0.1:0',
    KUBECONFIG: kubeconfig,
    BROKKR_CONFIG_FILE: file,
  });
  try {
    await agent.says('agent is up');
    write(file, { BROKKR_LOG_LEVEL: 'loud' });
    agent.child.kill('SIGHUP');
    const refusal = await agent.says('the new configuration cannot be used; the old one stays');
    assert.match(String(refusal.reason), 'BROKKR_LOG_LEVEL');
    write(file, { BROKKR_LOG_LEVEL: 'debug', BROKKR_PULL_INTERVAL: '1m', BROKKR_NAMESPACE: 'elsewhere' });
    agent.child.kill('SIGHUP');
    const fixed = await agent.says('these settings have changed and need a restart');
    assert.equal(fixed.variables, ['BROKKR_NAMESPACE']);
    await agent.says('the configuration was read again');
  } finally {
    agent.child.kill('SIGTERM');
    await once(agent.child, 'exit');
  }
});

reloads.run();
