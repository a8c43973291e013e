import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Code, ConnectError } from '@connectrpc/connect';
import * as assert from 'uvu/assert';
import { type Config, readConfig } from '../broker/config.ts';
import { createLog } from '../broker/log.ts';
import { type RunningBroker, startBroker } from '../broker/server.ts';
import { type BrokkrClient, type ClientOptions, connectBroker } from '../client/client.ts';
import type { Tracing } from '../client/trace.ts';
import { type Postgres, startPostgres } from '../sandbox/postgres/postgres.ts';

export interface TestBrokerOptions {
  /** Number of brokers that share the database; default 1. */
  readonly brokers?: number;
  /** A running database server; default: one that ends with `close`. Each installation gets a new schema in it. */
  readonly postgres?: Postgres;
  /** Overrides of the configuration, which otherwise has free loopback ports. */
  readonly config?: Partial<Config>;
  /** Receives the spans of traces; the caller closes it. */
  readonly tracing?: Tracing | undefined;
}

export interface TestBroker {
  /** URL of the first broker. */
  readonly url: string;
  /** URL of each broker; a restarted broker keeps its own. */
  readonly urls: readonly string[];
  readonly brokers: readonly RunningBroker[];
  /** Configuration of the brokers, except for the ports, which are those in `urls`. */
  readonly config: Config;
  /** Key of the first admin. */
  readonly adminPak: string;
  readonly postgres: Postgres;
  /** Lines that the brokers have logged, as JSON, from level debug; a long test may remove those it has read. */
  readonly logged: string[];
  /**
   * Connects a client with a key (default: the admin's), to the first broker unless `url` is given. `close` closes it.
   */
  client(pak?: string, options?: Partial<ClientOptions>): BrokkrClient;
  /** Ends a broker, awaits `meanwhile`, and starts a broker on the same port. */
  restart(index?: number, meanwhile?: () => Promise<void>): Promise<void>;
  close(): Promise<void>;
}

let installations = 0;

/** Starts one or more real brokers on a real database, for one test file. Rejects with nothing left running. */
export async function startTestBroker(options: TestBrokerOptions = {}): Promise<TestBroker> {
  await using failing = new AsyncDisposableStack();
  const postgres = options.postgres ?? (await startTestPostgres(failing));
  const logged: string[] = [];
  const log = createLog('debug', { write: (line) => void logged.push(line) });
  const loopback = { host: '127.0.0.1', port: 0 };
  const config: Config = {
    ...readConfig({ BROKKR_DATABASE_URL: postgres.url }),
    databaseSchema: `t${++installations}`,
    listen: loopback,
    metricsListen: loopback,
    ...options.config,
  };
  let adminPak = '';
  const start = async (port: number) =>
    startBroker(
      { ...config, listen: { ...config.listen, port } },
      {
        log,
        tracing: options.tracing,
        deliverAdminPak: async (pak) => {
          adminPak = pak;
        },
      },
    );
  const brokers: RunningBroker[] = [];
  failing.defer(async () => void (await Promise.all(brokers.map((broker) => broker.close(0)))));
  for (let count = options.brokers ?? 1; count > 0; count -= 1) brokers.push(await start(config.listen.port));
  const clients = new Set<BrokkrClient>();
  failing.defer(() => clients.forEach((client) => void client.close()));
  const owned = failing.move();
  const [first] = brokers;
  assert.ok(first, 'at least one broker');
  const { url } = first;
  return {
    url,
    urls: brokers.map((broker) => broker.url),
    brokers,
    config,
    adminPak,
    postgres,
    logged,
    client: (pak = adminPak, more = {}) => {
      const client = connectBroker({ url, pak, ...more });
      clients.add(client);
      return client;
    },
    restart: async (index = 0, meanwhile = async () => {}) => {
      const old = brokers[index];
      assert.ok(old, `there is no broker ${index}`);
      await old.close(0);
      await meanwhile();
      brokers[index] = await start(old.port);
    },
    close: () => owned.disposeAsync(),
  };
}

/** Starts a database server in a temporary folder; `owner` stops it and removes the folder. */
export async function startTestPostgres(owner: AsyncDisposableStack): Promise<Postgres> {
  const dataDir = mkdtempSync(join(tmpdir(), 'brokkr-database-'));
  owner.defer(() => rmSync(dataDir, { recursive: true, force: true }));
  const postgres = await startPostgres({ dataDir, fsync: false });
  owner.defer(() => postgres.stop());
  return postgres;
}

/** Asserts that a call is refused with this code, and with this text in its message; returns the error. */
export async function refused(call: Promise<unknown>, code: Code, text: string | RegExp = ''): Promise<ConnectError> {
  const error = await call.then(
    () => undefined,
    (reason: unknown) => ConnectError.from(reason),
  );
  assert.ok(error, `the call must be refused with ${Code[code]}`);
  assert.is(Code[error.code], Code[code], error.message);
  assert.match(error.rawMessage, text);
  return error;
}

/**
 * Repeats a check until its result is truthy, and returns that. A rejection counts as "not yet"; after `deadlineMs`,
 * the last one is thrown.
 */
export async function eventually<T>(ask: () => T | Promise<T>, deadlineMs = 10_000): Promise<Truthy<T>> {
  const deadline = Date.now() + deadlineMs;
  for (let waitMs = 5; ; waitMs = Math.min(waitMs * 1.5, 100)) {
    let failure: unknown;
    try {
      const answer = await ask();
      if (answer) return answer as Truthy<T>;
    } catch (error) {
      failure = error;
    }
    if (Date.now() > deadline) throw failure ?? new Error(`did not come true within ${deadlineMs} ms: ${ask}`);
    await new Promise((settle) => setTimeout(settle, waitMs));
  }
}

type Truthy<T> = Exclude<T, false | 0 | 0n | '' | null | undefined>;
