import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { processCommand, processStartTime } from '../postgres/data-folder.ts';
import { StartError } from './options.ts';

/** A process, distinguishable from a later one with the same id. */
interface Identity {
  readonly pid: number;
  readonly started: string;
}

interface LockHolder extends Identity {
  /** The npm that runs it: the process that a user sees in the terminal, and may kill. */
  readonly npm?: Identity;
}

const LOCK_FILE = 'start.lock';
/** A start whose npm is gone ends by itself within this time. */
const ORPHAN_END_MS = 6_000;
const WATCH_MS = 250;

/**
 * Locks the data folder for this process and returns the release. Waits for a start whose npm was killed, and ends it
 * if need be. Throws a StartError when another start is running.
 */
export async function lockDataDir(dataDir: string, log: (line: string) => void): Promise<() => void> {
  mkdirSync(dataDir, { recursive: true, mode: 0o711 });
  const file = join(dataDir, LOCK_FILE);
  const holder = readHolder(file);
  if (holder && isRunning(holder) && holder.pid !== process.pid) {
    if (!holder.npm || isRunning(holder.npm))
      throw new StartError(`${dataDir} is in use by another npm start (process ${holder.pid})`);
    log(`ending what a killed npm start left running (process ${holder.pid})`);
    await endHolder(holder);
  }
  const mine: LockHolder = { pid: process.pid, started: processStartTime(process.pid) ?? '', npm: findParentNpm() };
  writeFileSync(file, JSON.stringify(mine), { mode: 0o600 });
  return () => rmSync(file, { force: true });
}

/**
 * Calls `lost` when the npm that runs this process disappears without a signal: nobody could end this process any more.
 */
export function watchNpm(lost: () => void): () => void {
  const npm = findParentNpm();
  if (!npm) return () => {};
  const timer = setInterval(() => {
    if (isRunning(npm)) return;
    clearInterval(timer);
    lost();
  }, WATCH_MS);
  timer.unref();
  return () => clearInterval(timer);
}

async function endHolder(holder: LockHolder): Promise<void> {
  const deadline = Date.now() + ORPHAN_END_MS;
  process.kill(holder.pid, 'SIGTERM');
  while (isRunning(holder) && Date.now() < deadline) await delay(50);
  if (isRunning(holder)) process.kill(holder.pid, 'SIGKILL');
  while (isRunning(holder) && Date.now() < deadline + 1_000) await delay(50);
}

/** npm is our parent, or the parent of the shell in which it started us. */
function findParentNpm(): Identity | undefined {
  if (process.env.npm_lifecycle_event === undefined) return undefined;
  const isShell = /^(\S*\/)?(ba|da)?sh /.test(processCommand(process.ppid) ?? '');
  const pid = isShell ? parentOf(process.ppid) : process.ppid;
  const started = pid === undefined ? undefined : processStartTime(pid);
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

function isRunning({ pid, started }: Identity): boolean {
  return processStartTime(pid) === started;
}

function readHolder(file: string): LockHolder | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as LockHolder;
  } catch {
    return undefined;
  }
}
