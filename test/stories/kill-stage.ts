import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BrokkrClient, connectBroker } from '../../client/client.ts';
import { type SimulatedCluster, startSimulatedCluster } from '../../sandbox/cluster/cluster.ts';
import { type Postgres, startPostgres } from '../../sandbox/postgres/postgres.ts';
import { eventually } from '../broker.ts';
import { createProgram } from '../tools/program.ts';
import { startTcpRelay } from '../tools/tcp-relay.ts';

export type Victim = 'broker' | 'database' | 'agent';

/**
 * The moment at which a process is killed: when the broker sends a statement, or when the agent sends a request to the
 * cluster.
 */
export interface Moment {
  /** Text of the statement, or "METHOD part-of-the-path" of the request. */
  readonly at: string;
  readonly of: 'statement' | 'request';
  /** `before` it is processed, or `after`, before its answer arrives. */
  readonly when: 'before' | 'after';
  readonly victim: Victim;
}

/** A database, a broker and an agent, each a process of its own, and a cluster that outlives them. */
export interface KillStage {
  readonly admin: BrokkrClient;
  readonly agentName: string;
  readonly cluster: SimulatedCluster;
  /** Sends SIGKILL to the victim at the next such moment and starts it again; `done` resolves after that. */
  killAt(moment: Moment): { readonly done: Promise<void>; cancel(): void };
  close(): Promise<void>;
}

const startMs = 60_000;

export async function startKillStage(): Promise<KillStage> {
  await using stack = new AsyncDisposableStack();
  const folder = mkdtempSync(join(tmpdir(), 'brokkr-kills-'));
  stack.defer(() => rmSync(folder, { recursive: true, force: true }));
  // With fsync: otherwise a killed database loses its last commits.
  const postgres = await startPostgres({ dataDir: join(folder, 'postgres') });
  stack.defer(() => postgres.stop());
  const cluster = await startSimulatedCluster({ pods: false });
  stack.defer(() => cluster.stop());
  const kubeconfig = join(folder, 'kubeconfig');
  writeFileSync(kubeconfig, cluster.kubeconfig);
  let armed: { moment: Moment; fire: () => Promise<void> } | undefined;
  const take = (of: Moment['of'], text: string) => {
    const { moment, fire } = armed ?? {};
    if (!moment || !fire || moment.of !== of || !text.includes(moment.at)) return undefined;
    armed = undefined;
    return { moment, fire };
  };
  const proxy = await startStatementProxy(postgres, (text) => take('statement', text));
  stack.defer(() => proxy.close());
  cluster.onRequest(async ({ method, path, query }) => {
    const taken = take('request', `${method} ${path}?${query}`);
    if (!taken) return;
    // With `after`, the request is processed all the same: the process that sent it is gone by then.
    if (taken.moment.when === 'before') await taken.fire();
    else void taken.fire();
  });
  const port = await freePort();
  const pakFile = join(folder, 'pak');
  const broker = createProgram({
    file: 'broker/main.ts',
    env: {
      BROKKR_DATABASE_URL: proxy.url,
      BROKKR_LISTEN: `127.0.0.1:${port}`,
      BROKKR_METRICS_LISTEN: '127.0.0.1:0',
      BROKKR_ADMIN_PAK_FILE: pakFile,
    },
    ready: /the broker is ready/,
  });
  stack.defer(() => broker.stop());
  await broker.start();
  const admin = connectBroker({ url: `http://127.0.0.1:${port}`, pak: readFileSync(pakFile, 'utf8').trim() });
  stack.defer(() => admin.close());
  const agentName = 'mortal';
  const { pak } = await admin.admin.createAgent({ name: agentName, labels: ['mortal'] });
  const agent = createProgram({
    file: 'agent/main.ts',
    env: {
      BROKKR_BROKER_URL: `http://127.0.0.1:${port}`,
      BROKKR_PAK: pak,
      BROKKR_PULL_INTERVAL: '2s',
      BROKKR_HEALTH_LISTEN: '127.0.0.1:0',
      BROKKR_STATE_DIR: join(folder, 'state'),
      KUBECONFIG: kubeconfig,
    },
  });
  stack.defer(() => agent.stop());
  await agent.start();
  const replace: Record<Victim, () => Promise<void>> = {
    broker: broker.replace,
    agent: agent.replace,
    database: async () => {
      postgres.kill();
      // Backends that outlive the postmaster for a moment prevent the next start.
      await eventually(() => postgres.restart().then(() => true), startMs);
    },
  };
  const owned = stack.move();
  return {
    admin,
    agentName,
    cluster,
    killAt(moment) {
      const done = Promise.withResolvers<void>();
      done.promise.catch(() => {});
      armed = {
        moment,
        async fire() {
          await replace[moment.victim]().then(done.resolve, done.reject);
        },
      };
      return {
        done: done.promise,
        cancel() {
          armed = undefined;
        },
      };
    },
    close: () => owned.disposeAsync(),
  };
}

interface Taken {
  readonly moment: Moment;
  readonly fire: () => Promise<void>;
}

/** Starts a proxy between the broker and the database, which passes everything that the broker sends to `take`. */
async function startStatementProxy(
  postgres: Postgres,
  take: (text: string) => Taken | undefined,
): Promise<{ url: string; close(): Promise<void> }> {
  const { port, close } = await startTcpRelay({ host: '127.0.0.1', port: postgres.port }, (client, upstream) => {
    let last: Taken | undefined;
    const prepared = new Map<string, string>();
    for (const socket of [client, upstream]) socket.setNoDelay(true);
    client.on('data', (chunk) => {
      const taken = take(spelledOut(chunk.toString('latin1'), prepared));
      if (taken?.moment.when === 'before') return void taken.fire();
      last ??= taken;
      upstream.write(chunk);
    });
    upstream.on('data', (chunk) => {
      if (!last) return void client.write(chunk);
      // The database has executed it; the answer is lost.
      const { fire } = last;
      last = undefined;
      void fire();
      client.destroy();
    });
  });
  const url = new URL(postgres.url);
  url.port = String(port);
  return { url: url.href, close };
}

/**
 * Adds the text of prepared statements, which are executed by their names: Parse is "P", four bytes, name, NUL, text,
 * NUL, and Bind is "B", four bytes, portal, NUL, name, NUL (PostgreSQL's message formats).
 */
function spelledOut(sent: string, prepared: Map<string, string>): string {
  for (const [, name = '', text = ''] of sent.matchAll(/P[\s\S]{4}([\w-]+)\0([^\0]+)\0/g)) prepared.set(name, text);
  const run = [...sent.matchAll(/B[\s\S]{4}[^\0]*\0([\w-]+)\0/g)].map(([, name = '']) => prepared.get(name) ?? '');
  return [sent, ...run].join('\n');
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}
