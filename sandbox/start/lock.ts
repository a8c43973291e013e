import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { commandOf, startedAt } from '../postgres/data-folder.ts';
import { StartError } from './options.ts';

/** A process, distinguishable from a later one with the same id. */
interface Identity {
  readonly pid: number;
  readonly started: string;
}

interface Holder extends Identity {
  /** The npm that runs it: the process that a user sees in the terminal, and may kill. */
  readonly npm?: Identity;
}

const FILE = 'start.lock';
/** A start whose npm is gone ends by itself within this time. */
const ORPHAN_END_MS = 6_000;
const WATCH_MS = 250;

/**
 * Locks the data folder for this process and returns the release. Waits for a start whose npm was killed, and ends it
 * if need be. Throws a StartError when another start is running.
 */
export async function holdDataDir(dataDir: string, log: (line: string) => void): Promise<() => void> {
  mkdirSync(dataDir, { recursive: true, mode: 0o711 });
  const file = join(dataDir, FILE);
  const holder = readHolder(file);
  if (holder && runs(holder) && holder.pid !== process.pid) {
    if (!holder.npm || runs(holder.npm))
      throw new StartError(`${dataDir} is in use by another npm start (process ${holder.pid})`);
    log(`ending what a killed npm start left running (process ${holder.pid})`);
    await end(holder);
  }
  const mine: Holder = { pid: process.pid, started: startedAt(process.pid) ?? '', npm: npmAbove() };
  writeFileSync(file, JSON.stringify(mine), { mode: 0o600 });
  return () => rmSync(file, { force: true });
}

/**
 * Calls `lost` when the npm that runs this process disappears without a signal: nobody could end this process any more.
 */
export function watchNpm(lost: () => void): () => void {
  const npm = npmAbove();
  if (!npm) return () => {};
  const timer = setInterval(() => {
    if (runs(npm)) return;
    clearInterval(timer);
    lost();
  }, WATCH_MS);
  timer.unref();
  return () => clearInterval(timer);
}

async function end(holder: Holder): Promise<void> {
  const deadline = Date.now() + ORPHAN_END_MS;
  process.kill(holder.pid, 'SIGTERM');
  while (runs(holder) && Date.now() < deadline) await delay(50);
  if (runs(holder)) process.kill(holder.pid, 'SIGKILL');
  while (runs(holder) && Date.now() < deadline + 1_000) await delay(50);
}

/** npm is our parent, or the parent of the shell in which it started us. */
function npmAbove(): Identity | undefined {
  if (process.env.npm_lifecycle_event === undefined) return undefined;
  const isShell = /^(\S*\/)?(ba|da)?sh /.test(commandOf(process.ppid) ?? '');
  const pid = isShell ? parentOf(process.ppid) : process.ppid;
  const started = pid === undefined ? undefined : startedAt(pid);
  return pid !== undefined && pid > 0 && started !== undefined ? { pid, started } : undefined;
}

function parentOf(pid: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
  } catch {
    return undefined; // Outside Linux, only an npm that is the direct parent is watched.
  }
}

function runs({ pid, started }: Identity): boolean {
  return startedAt(pid) === started;
}

function readHolder(file: string): Holder | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Holder;
  } catch {
    return undefined;
  }
}
