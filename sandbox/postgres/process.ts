import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync, renameSync, rmSync, statSync, truncateSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { HOST } from '../host.ts';
import { type PostgresBinaries, spawnIdentity } from './binaries.ts';
import { findOrphan, isServerOn, type PostgresFolder } from './data-folder.ts';

const FAST_STOP_MS = 4_000;
const QUIT_STOP_MS = 2_000;
const READY_MS = 60_000;
const LOG_LIMIT = 4 * 1024 * 1024;

export async function initialise(binaries: PostgresBinaries, folder: PostgresFolder, fsync: boolean): Promise<void> {
  const unfinished = `${folder.data}.new`;
  rmSync(unfinished, { recursive: true, force: true });
  const args = ['-D', unfinished, '-U', 'brokkr', `--pwfile=${folder.passwordFile}`, '-A', 'scram-sha-256'];
  args.push('-E', 'UTF8', '--locale=C', '--no-instructions', ...(fsync ? [] : ['--no-sync']));
  const child = spawnServer(binaries.initdb, args, folder);
  const [code] = await exitOf(child);
  if (code !== 0) throw new Error(`initdb failed in ${folder.root}: ${lastLines(folder)}`);
  renameSync(unfinished, folder.data);
}

export interface PostmasterOptions {
  /** Default true. False is for tests: faster, but a power cut may lose the data. */
  readonly fsync?: boolean;
  /** Stops the database when aborted, also during the start. */
  readonly signal?: AbortSignal;
}

/** Starts the postmaster and waits until it accepts connections. */
export async function startPostmaster(
  binaries: PostgresBinaries,
  folder: PostgresFolder,
  port: number,
  options: PostmasterOptions,
): Promise<ChildProcess> {
  const args = [
    '-D',
    folder.data,
    ...serverSettings(port, options.fsync ?? true).flatMap((setting) => ['-c', setting]),
  ];
  const deadline = Date.now() + READY_MS;
  while (true) {
    const child = spawnServer(binaries.postgres, args, folder);
    const exited = exitOf(child);
    try {
      await waitUntilReady(child, folder, port, deadline, options.signal);
      return child;
    } catch (error) {
      await endProcess(child);
      await exited;
      // After a SIGKILL, children of the old postmaster hold its shared memory for a moment.
      if (!lastLines(folder).includes('pre-existing shared memory') || Date.now() > deadline) throw error;
      await delay(100);
    }
  }
}

function serverSettings(port: number, fsync: boolean): string[] {
  const cheap = fsync ? [] : ['fsync=off', 'synchronous_commit=off', 'full_page_writes=off'];
  return [
    `listen_addresses=${HOST}`,
    `port=${port}`,
    'unix_socket_directories=',
    'max_connections=200',
    'wal_level=minimal',
    'max_wal_senders=0',
    'timezone=UTC',
    'log_timezone=UTC',
    'log_min_messages=log',
    'log_checkpoints=off',
    ...cheap,
  ];
}

function spawnServer(command: string, args: string[], folder: PostgresFolder): ChildProcess {
  if (existsSync(folder.logFile) && statSync(folder.logFile).size > LOG_LIMIT) truncateSync(folder.logFile);
  const logFile = openSync(folder.logFile, 'a', 0o600);
  try {
    // A session of its own, so that Ctrl-C in a terminal reaches our process first and the database last.
    return spawn(command, args, {
      ...spawnIdentity,
      cwd: '/',
      detached: true,
      env: { PATH: process.env.PATH, LC_ALL: 'C', TZ: 'UTC' },
      stdio: ['ignore', logFile, logFile],
    });
  } finally {
    closeSync(logFile);
  }
}

async function waitUntilReady(
  child: ChildProcess,
  folder: PostgresFolder,
  port: number,
  deadline: number,
  signal?: AbortSignal,
) {
  let failure: Error | undefined;
  child.once('error', (error) => {
    failure = error;
  });
  while (true) {
    signal?.throwIfAborted();
    if (failure) throw failure;
    if (child.exitCode !== null || child.signalCode !== null)
      throw new Error(`PostgreSQL did not start in ${folder.root}: ${lastLines(folder)}`);
    const client = new pg.Client({ connectionString: connectionUrl(folder, port, 'postgres') });
    client.on('error', () => {});
    try {
      await client.connect();
      return;
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await delay(20);
    } finally {
      await client.end().catch(() => {});
    }
  }
}

export async function endProcess(child: ChildProcess): Promise<void> {
  const exited = exitOf(child);
  for (const [name, waitMs] of STOP_STEPS) {
    child.kill(name);
    if (await Promise.race([exited.then(() => true), delay(waitMs, false, { ref: false })])) return;
  }
}

const STOP_STEPS = [
  ['SIGINT', FAST_STOP_MS],
  ['SIGQUIT', QUIT_STOP_MS],
  ['SIGKILL', QUIT_STOP_MS],
] as const;

/**
 * Ends a server that an earlier run left behind. Also removes a stale postmaster.pid, whose process id may be in use by
 * another program.
 */
export async function endOrphan(folder: PostgresFolder, log: (line: string) => void): Promise<void> {
  const pid = findOrphan(folder.data);
  if (pid) {
    log(`ending the PostgreSQL (process ${pid}) that an earlier run left in ${folder.root}`);
    for (const [name, waitMs] of STOP_STEPS) {
      const deadline = Date.now() + waitMs;
      if (isServerOn(pid, folder.data)) process.kill(pid, name);
      while (isServerOn(pid, folder.data) && Date.now() < deadline) await delay(20);
    }
  }
  rmSync(`${folder.data}/postmaster.pid`, { force: true });
}

export function connectionUrl(folder: PostgresFolder, port: number, database: string): string {
  return `postgres://brokkr:${folder.password}@${HOST}:${port}/${database}`;
}

function exitOf(child: ChildProcess): Promise<[number | null, NodeJS.Signals | null]> {
  if (child.exitCode !== null || child.signalCode !== null || !child.pid)
    return Promise.resolve([child.exitCode, child.signalCode]);
  return new Promise((resolve) => child.once('exit', (code, signal) => resolve([code, signal])));
}

function lastLines(folder: PostgresFolder): string {
  return existsSync(folder.logFile)
    ? readFileSync(folder.logFile, 'utf8').trim().split('\n').slice(-4).join(' | ')
    : '';
}
