/**
 * `npm start`: runs a database, a broker, agents and their clusters on this machine, all but the database in one
 * process.
 */

import { createHash } from 'node:crypto';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { Code, ConnectError } from '@connectrpc/connect';
import pg from 'pg';
import type { Logger } from 'pino';
import { rotateAdmin } from '../../broker/access/issue.ts';
import { type Config, readConfig } from '../../broker/config.ts';
import { openMigrated } from '../../broker/open-store.ts';
import { startBroker } from '../../broker/server.ts';
import { type BrokkrClient, connectBroker } from '../../client/client.ts';
import { buildConsole } from '../../console/build.ts';
import { ensureAgent, startAgentFor, startFleet } from '../fleet.ts';
import { startPostgres } from '../postgres/postgres.ts';
import { openKeys, type StartKeys } from './keys.ts';
import { lockDataDir, watchNpm } from './lock.ts';
import { openLog } from './log.ts';
import { help, readOptions, StartError, type StartOptions } from './options.ts';
import { sample, settledPlacements, submitSample } from './sample.ts';
import { formatSummary, type StartSummary } from './text.ts';

/** Everything must have ended 5 s after Ctrl-C. */
const END_MS = 4_500;
const BROKER_GRACE_MS = 500;
const DATABASE_MS = 5_000;
/** The admin that this program acts as, so that the first admin's key need not be stored. */
const OWN_ADMIN = 'npm-start';

/** Broker settings that may be tried here; addresses and TLS are not among them. */
const passedVariables = [
  'BROKKR_DATABASE_SCHEMA',
  'BROKKR_CORS_ORIGINS',
  'BROKKR_WORKERS',
  'BROKKR_LOG_LEVEL',
] as const;

const print = (line: string) => void process.stdout.write(`${line}\n`);
const printError = (line: string) => void process.stderr.write(`${line}\n`);

/** Starts everything, prints a summary, and returns when `signal` is aborted and everything has ended. */
async function runSandbox(options: StartOptions, signal: AbortSignal): Promise<void> {
  const began = Date.now();
  await using parts = new AsyncDisposableStack();
  parts.defer(await lockDataDir(options.dataDir, print));
  await refuseTakenPort(options);
  const consoleBuilt = buildOwnConsole();
  const database = await openDatabase(options, parts, signal);
  // The broker reads the built console when it starts.
  await consoleBuilt;
  const keys = openKeys(join(database.stateDir, 'keys.json'));
  const brokerLog = openLog(join(options.dataDir, 'logs/broker.log'), 'broker', printError);
  const agentLog = openLog(join(options.dataDir, 'logs/agents.log'), 'agent', printError);
  const config = brokerConfig(options, database.url);
  const broker = await startBroker(config, {
    log: brokerLog,
    deliverAdminPak: async (pak) => {
      keys.firstAdmin = pak;
    },
  });
  parts.defer(() => broker.close(BROKER_GRACE_MS));
  signal.throwIfAborted();
  const client = await connectAsAdmin(broker.url, config, keys);
  parts.defer(() => client.close());
  const agents = await startAgents(options, client, keys, {
    brokerUrl: broker.url,
    log: agentLog,
    signal,
    ...database,
  });
  parts.defer(agents.close);
  if (!keys.sampleDone) {
    await submitSample(client);
    keys.sampleDone = true;
  }
  const placements = await settledPlacements(client, new Set(agents.ids), signal);
  print(
    formatSummary({
      brokerUrl: broker.url,
      metricsUrl: broker.metricsUrl,
      database: withoutPassword(database.url),
      dataDir: options.dataDir,
      adminPak: keys.firstAdmin,
      agents: agents.shown,
      placements,
      startedInMs: Date.now() - began,
    }),
  );
  if (keys.firstAdmin !== undefined) keys.firstAdmin = undefined;
  if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
}

/** Builds the console from the sources. Without it, the broker answers `/` with an explanation. */
async function buildOwnConsole(): Promise<void> {
  await buildConsole().catch((error: Error) => printError(`the console is not built: ${error.message}`));
}

/**
 * Opens the embedded database, or the given one. State that belongs to one database is kept apart from that of another.
 */
async function openDatabase(options: StartOptions, parts: AsyncDisposableStack, signal: AbortSignal) {
  const { databaseUrl, dataDir } = options;
  if (databaseUrl !== undefined) {
    await refuseUnreachable(databaseUrl);
    const { host, pathname } = new URL(databaseUrl);
    const name = createHash('sha256').update(`${host}${pathname} ${process.env.BROKKR_DATABASE_SCHEMA ?? ''}`);
    return { url: databaseUrl, stateDir: join(dataDir, 'databases', name.digest('hex').slice(0, 12)) };
  }
  const postgres = await startPostgres({ dataDir: join(dataDir, 'postgres'), log: print }).catch((error: Error) => {
    throw new StartError(error.message, { cause: error });
  });
  parts.defer(() => postgres.stop());
  signal.throwIfAborted();
  return { url: postgres.url, stateDir: dataDir };
}

async function refuseUnreachable(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: DATABASE_MS });
  client.on('error', () => {});
  try {
    await client.connect();
  } catch (error) {
    const { message, code } = error as NodeJS.ErrnoException;
    throw new StartError(`the database ${withoutPassword(url)} cannot be reached: ${message || code}`);
  } finally {
    await client.end().catch(() => {});
  }
}

function brokerConfig({ host, port }: StartOptions, databaseUrl: string): Config {
  const settings = Object.fromEntries(passedVariables.map((name) => [name, process.env[name]]));
  return {
    ...readConfig({ ...settings, BROKKR_DATABASE_URL: databaseUrl }),
    listen: { host, port },
    metricsListen: { host, port: 0 },
  };
}

/** Checks the port first: the broker would report it only at the end of a slow start. */
async function refuseTakenPort({ host, port }: StartOptions): Promise<void> {
  const server = createServer();
  const problem = await new Promise<NodeJS.ErrnoException | undefined>((resolve) => {
    server.once('error', resolve).listen({ host, port, exclusive: true }, () => resolve(undefined));
  });
  await new Promise((resolve) => server.close(resolve));
  if (problem?.code === 'EADDRINUSE')
    throw new StartError(`port ${port} on ${host} is in use: end what uses it, or choose another with --port`);
  if (problem) throw new StartError(`cannot listen on ${host}, port ${port}: ${problem.code ?? problem.message}`);
}

/**
 * Connects with the key of a former start. If that is lost or revoked, issues a new one, as the database's operator
 * may.
 */
async function connectAsAdmin(url: string, config: Config, keys: StartKeys): Promise<BrokkrClient> {
  if (keys.ownAdmin !== undefined) {
    const client = connectBroker({ url, pak: keys.ownAdmin });
    try {
      await client.broker.whoAmI({});
      return client;
    } catch (error) {
      client.close();
      if (ConnectError.from(error).code !== Code.Unauthenticated) throw error;
    }
  }
  const db = await openMigrated(config);
  try {
    keys.ownAdmin = await rotateAdmin(db, OWN_ADMIN);
  } finally {
    await db.close();
  }
  return connectBroker({ url, pak: keys.ownAdmin });
}

interface StartedAgents {
  readonly ids: readonly string[];
  readonly shown: StartSummary['agents'];
  readonly close: () => Promise<void>;
}

async function startAgents(
  { agents, cluster }: StartOptions,
  client: BrokkrClient,
  keys: StartKeys,
  common: { brokerUrl: string; stateDir: string; log: Logger; signal: AbortSignal },
): Promise<StartedAgents> {
  const labels = [sample.label];
  if (cluster === undefined) {
    const fleet = await startFleet({
      ...common,
      adminPak: keys.ownAdmin ?? '',
      count: agents,
      prefix: 'local',
      labels,
      keys,
      dataDir: common.stateDir,
      persistent: true,
    });
    const shown = fleet.members.map(({ name, kubeconfigFile, agent }) => ({
      name,
      cluster: `simulated cluster, ${kubeconfigFile}`,
      healthUrl: agent.healthUrl,
    }));
    return { ids: fleet.members.map(({ id }) => id), shown, close: fleet.close };
  }
  const { kubeconfigFile, context } = cluster;
  const name = agentName(context);
  const key = await ensureAgent(client, name, labels, keys);
  const stateDir = join(common.stateDir, 'agents', name);
  const agent = await startAgentFor(key, { ...common, kubeconfigFile, kubeContext: context, stateDir });
  const shown = [{ name, cluster: `cluster ${context}, ${kubeconfigFile}`, healthUrl: agent.healthUrl }];
  return { ids: [key.id], shown, close: () => agent.close() };
}

/** Derives an agent's name from a context's: `kind-dev`, `arn-aws-eks-...`. */
function agentName(context: string): string {
  const plain = context.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-');
  return plain.slice(-63).replaceAll(/^-+|-+$/g, '') || 'cluster';
}

function withoutPassword(url: string): string {
  const shown = new URL(url);
  if (shown.password !== '') shown.password = '***';
  return shown.href;
}

/** One line for errors that the user can correct; a stack only for defects. */
function errorText(error: unknown): string {
  if (error instanceof StartError) return error.message;
  const { name, code, message, stack } = error as NodeJS.ErrnoException;
  if (name === 'ConfigError' || name === 'Refusal' || typeof code === 'string' || error instanceof ConnectError)
    return (message || code || name).split('\n').join('; ');
  return stack ?? String(error);
}

async function main(): Promise<number> {
  const stop = new AbortController();
  const interrupted = (name: string) => {
    if (stop.signal.aborted) return; // npm and the terminal both forward Ctrl-C.
    print(`\n${name}: ending`);
    stop.abort();
    setTimeout(() => {
      printError('the end took too long: what is left is killed');
      process.exit(1);
    }, END_MS).unref();
  };
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => interrupted(name));
  // A closed terminal must not prevent an orderly end.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});
  const unwatch = watchNpm(() => interrupted('npm is gone'));
  try {
    const options = readOptions(process.argv.slice(2), process.env);
    if (options === undefined) process.stdout.write(help);
    else await runSandbox(options, stop.signal);
    return 0;
  } catch (error) {
    if (stop.signal.aborted) return 0;
    printError(`npm start: ${errorText(error)}`);
    return error instanceof StartError ? error.exitCode : 1;
  } finally {
    unwatch();
  }
}

if (import.meta.main) process.exit(await main());
