import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { asRoot, isReachable, NOBODY } from './binaries.ts';

/** The folder of one database: `data` belongs to PostgreSQL, the rest to us. */
export interface PostgresFolder {
  readonly root: string;
  readonly data: string;
  readonly logFile: string;
  readonly passwordFile: string;
  readonly password: string;
  /** Returns the port of the last start, so that a restart keeps the URL. */
  readPort(): number | undefined;
  writePort(port: number): void;
  /** Releases the lock, so that the next start may use the folder. */
  release(): void;
}

/** Opens the folder, creating it if necessary, and locks it for this process until `release`. */
export function openFolder(dataDir: string, log: (line: string) => void): PostgresFolder {
  const root = usableFolder(resolve(dataDir), log);
  const lock = join(root, 'lock');
  hold(lock, root);
  try {
    const passwordFile = join(root, 'password');
    const password = readText(passwordFile) ?? writeOwn(passwordFile, randomBytes(24).toString('hex'));
    return {
      root,
      data: join(root, 'data'),
      logFile: join(root, 'postgres.log'),
      passwordFile,
      password,
      readPort: () => Number(readText(join(root, 'port'))) || undefined,
      writePort: (port) => writeFileSync(join(root, 'port'), `${port}\n`),
      release: () => rmSync(lock, { force: true }),
    };
  } catch (error) {
    rmSync(lock, { force: true });
    throw error;
  }
}

/** Returns the process id of a PostgreSQL that a killed process left running on this data folder. */
export function findOrphan(data: string): number | undefined {
  const pid = Number(readText(join(data, 'postmaster.pid'))?.split('\n')[0]);
  return pid > 1 && isServerOn(pid, data) ? pid : undefined;
}

/** Reports whether the process is a PostgreSQL on this data folder; process ids are reused. */
export function isServerOn(pid: number, data: string): boolean {
  const command = processCommand(pid) ?? '';
  return command.includes('postgres') && command.includes(data);
}

function usableFolder(wanted: string, log: (line: string) => void): string {
  if (isReachable(dirname(wanted)) && canChangeOwner(wanted) && prepare(wanted)) return wanted;
  const other = join('/var/lib/brokkr', createHash('sha256').update(wanted).digest('hex').slice(0, 16));
  if (!prepare(other)) throw new Error(`neither ${wanted} nor ${other} can be used as PostgreSQL's folder`);
  log(`PostgreSQL cannot run in ${wanted} as an ordinary user: its data is kept in ${other}`);
  return other;
}

/** Root gives the folder to another user, so it must not contain anybody's files. */
function canChangeOwner(folder: string): boolean {
  const stat = statSync(folder, { throwIfNoEntry: false });
  return !asRoot || !stat || stat.uid === NOBODY || (stat.isDirectory() && readdirSync(folder).length === 0);
}

function prepare(folder: string): boolean {
  try {
    mkdirSync(folder, { recursive: true });
    if (asRoot) chownSync(folder, NOBODY, NOBODY);
    chmodSync(folder, 0o700);
    return isReachable(folder);
  } catch (error) {
    if (asRoot) return false;
    throw error;
  }
}

function hold(lock: string, root: string): void {
  const mine = `${process.pid} ${processStartTime(process.pid)}\n`;
  for (let attempt = 0; attempt < 5; attempt++) {
    try {
      writeFileSync(lock, mine, { flag: 'wx', mode: 0o600 });
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    const held = readText(lock);
    const [pid, started] = (held ?? '').split(' ');
    if (pid && processStartTime(Number(pid)) === started)
      throw new Error(`the database folder ${root} is in use by process ${pid}`);
    removeStaleLock(lock, held);
  }
  throw new Error(`the database folder ${root} is being opened by several processes`);
}

/** Renames instead of deleting, so that a lock taken since it was read is not dropped unnoticed. */
function removeStaleLock(lock: string, read: string | undefined): void {
  const aside = `${lock}.${process.pid}`;
  try {
    renameSync(lock, aside);
  } catch {
    return;
  }
  if (readText(aside) === read) rmSync(aside, { force: true });
  else renameSync(aside, lock);
}

/**
 * Returns a process's start time, which distinguishes it from a later one with the same id; undefined when there is
 * none.
 */
export function processStartTime(pid: number): string | undefined {
  if (process.platform === 'linux') {
    const stat = readText(`/proc/${pid}/stat`);
    const fields = stat?.slice(stat.lastIndexOf(')') + 2).split(' ');
    // A killed process whose parent has died too stays a zombie until it is collected.
    return fields?.[0] === 'Z' ? undefined : fields?.[19];
  }
  return ps(pid, 'lstart')?.replaceAll(' ', '-');
}

/** Returns the command line of a process, or undefined when there is none. */
export function processCommand(pid: number): string | undefined {
  if (process.platform === 'linux') return readText(`/proc/${pid}/cmdline`)?.replaceAll('\0', ' ');
  return ps(pid, 'command');
}

function ps(pid: number, column: string): string | undefined {
  try {
    return execFileSync('ps', ['-o', `${column}=`, '-p', String(pid)], { encoding: 'utf8' }).trim() || undefined;
  } catch {
    return undefined;
  }
}

function writeOwn(file: string, text: string): string {
  writeFileSync(file, text, { mode: 0o600 });
  if (asRoot) chownSync(file, NOBODY, NOBODY);
  return text;
}

function readText(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch {
    return undefined;
  }
}
