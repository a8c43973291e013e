import type { ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import pg from 'pg';
import { HOST } from '../host.ts';
import { placeBinaries } from './binaries.ts';
import { openFolder, type PostgresFolder } from './data-folder.ts';
import {
  connectionUrl,
  endOrphan,
  endProcess,
  initialise,
  type PostmasterOptions,
  startPostmaster,
} from './process.ts';

export interface PostgresOptions extends PostmasterOptions {
  /** Created when missing. When root chose a folder that `nobody` cannot enter, another one is used and logged. */
  readonly dataDir: string;
  /** Default: the port of the last start if it is free, else any free one. */
  readonly port?: number;
  /** Receives progress, one line at a time; silent by default. */
  readonly log?: (line: string) => void;
}

export interface Postgres {
  /** `postgres://brokkr:…@127.0.0.1:port/brokkr`; unchanged by a restart. */
  readonly url: string;
  readonly port: number;
  /** The folder in use: not `options.dataDir` when that one cannot be entered. */
  readonly dataDir: string;
  /** Process id of the running postmaster; changes with `restart`. */
  readonly pid: number;
  /** Sends SIGKILL, as a crash would; for tests. `restart` starts it again. */
  kill(): void;
  restart(): Promise<void>;
  stop(): Promise<void>;
}

/** Starts PostgreSQL on a folder. A server that a killed process left running there is ended first. */
export async function startPostgres(options: PostgresOptions): Promise<Postgres> {
  const { signal, log = () => {} } = options;
  signal?.throwIfAborted();
  const folder = openFolder(options.dataDir, log);
  let child: ChildProcess | undefined;
  const interruptAtExit = () => child?.kill('SIGINT');
  const end = async () => {
    const ending = child;
    child = undefined;
    if (ending) await endProcess(ending);
  };
  const close = async () => {
    await end();
    signal?.removeEventListener('abort', close);
    process.off('exit', interruptAtExit);
    folder.release();
  };
  try {
    const binaries = placeBinaries(folder.root, log);
    await endOrphan(folder, log);
    if (!existsSync(folder.data)) await initialise(binaries, folder, options.fsync ?? true);
    const port = await choosePort(options.port, folder);
    const start = async () => {
      const started = await startPostmaster(binaries, folder, port, options);
      started.once('exit', (code, name) => {
        if (child === started) log(`PostgreSQL ended by itself (${name ?? code}): see ${folder.logFile}`);
      });
      child = started;
    };
    process.on('exit', interruptAtExit);
    await start();
    await createDatabase(folder, port);
    signal?.throwIfAborted();
    signal?.addEventListener('abort', close, { once: true });
    return {
      url: connectionUrl(folder, port, 'brokkr'),
      port,
      dataDir: folder.root,
      get pid() {
        return child?.pid ?? 0;
      },
      kill: () => void child?.kill('SIGKILL'),
      restart: async () => {
        await end();
        await start();
      },
      stop: close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

async function createDatabase(folder: PostgresFolder, port: number): Promise<void> {
  const client = new pg.Client({ connectionString: connectionUrl(folder, port, 'postgres') });
  await client.connect();
  try {
    const { rowCount } = await client.query("SELECT 1 FROM pg_database WHERE datname = 'brokkr'");
    if (!rowCount) await client.query('CREATE DATABASE brokkr');
  } finally {
    await client.end();
  }
}

async function choosePort(wanted: number | undefined, folder: PostgresFolder): Promise<number> {
  if (wanted) {
    if (!(await findFreePort(wanted))) throw new Error(`port ${wanted} for PostgreSQL is in use`);
    return wanted;
  }
  const last = folder.readPort();
  const port = (last && (await findFreePort(last))) || (await findFreePort(0));
  if (!port) throw new Error(`no free port on ${HOST} for PostgreSQL`);
  folder.writePort(port);
  return port;
}

function findFreePort(port: number): Promise<number | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(undefined));
    server.listen(port, HOST, () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' ? address?.port : undefined));
    });
  });
}
