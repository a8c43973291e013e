import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

export interface Left {
  readonly pid: number;
  readonly command: string;
}

/**
 * Waits up to `graceMs` for the processes that a test started to end, and returns those that remain. They are
 * recognised by the test's temporary folder in the command line, since a database has a session of its own, and by
 * their process group.
 */
export async function processesLeft(folder: string, graceMs: number, group?: number): Promise<Left[]> {
  if (!folder.includes('brokkr-'))
    throw new Error(`"${folder}" is no folder of a test: processes of others may name it`);
  const deadline = Date.now() + graceMs;
  while (true) {
    const left = list().filter((found) => found.group === group || found.command.includes(folder));
    if (left.length === 0 || Date.now() > deadline) return left;
    await delay(50);
  }
}

/** Kills processes; those that are gone already are ignored. */
export function killAll(pids: readonly number[]): void {
  for (const pid of pids) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }
}

function list(): (Left & { group: number })[] {
  return process.platform === 'linux' ? listProc() : listPs();
}

function listProc(): (Left & { group: number })[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
        const [state, , group] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
        if (state === 'Z') return [];
        const command = readFileSync(`/proc/${name}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
        return [{ pid: Number(name), group: Number(group), command }];
      } catch {
        return []; // It has ended meanwhile.
      }
    });
}

function listPs(): (Left & { group: number })[] {
  return execFileSync('ps', ['-axo', 'pid=,pgid=,stat=,command='], { encoding: 'utf8' })
    .split('\n')
    .flatMap((line) => {
      const [, pid, group, state, command] = /^\s*(\d+)\s+(\d+)\s+(\S+)\s+(.*)$/.exec(line) ?? [];
      return command === undefined || state?.startsWith('Z')
        ? []
        : [{ pid: Number(pid), group: Number(group), command }];
    });
}
