import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { commandOf, startedAt } from '../postgres/data-folder.ts';
import { StartError } from './options.ts';

/** A process that cannot be mistaken for a later one with its number. */
interface Identity {
  readonly pid: number;
  readonly started: string;
}

interface Holder extends Identity {
  /** The npm that runs it: what a terminal's user sees, and may kill. */
  readonly npm?: Identity;
}

const FILE = 'start.lock';
/** A start that lost its npm ends by itself within this time. */
const ORPHAN_END_MS = 6_000;
const WATCH_MS = 250;

/**
 * Takes the data folder for this process and returns its release. One that a killed npm left behind is waited for, and ended
 * if need be; one that still runs is a StartError.
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

/** Calls `lost` when the npm that runs this process is gone without a signal: nobody could end us any more. */
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

/** Our npm is our parent, or the parent of the shell that it may start us by. */
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
    return undefined; // Elsewhere than on Linux only a direct npm is watched.
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
