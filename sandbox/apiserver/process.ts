import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { HOST } from '../host.ts';
import type { Program } from './build.ts';

const KILL_WAIT_MS = 500;

/** One running process of the control plane. */
export interface Component {
  /** 0 when the program could not be started. */
  readonly pid: number;
  /** Undefined while it runs; otherwise how it ended, with the last lines of its log. */
  readonly ending: string | undefined;
  kill(): void;
  /** Sends SIGTERM, then SIGKILL after `graceMs`, and resolves when the process is gone. */
  end(graceMs: number): Promise<void>;
}

/**
 * Starts `program` with its output in `logFile`, which is emptied first. `onLoss` is called when it ends without being
 * asked to.
 */
export function startComponent(
  program: Program,
  args: readonly string[],
  logFile: string,
  onLoss: (ending: string) => void,
): Component {
  const child = spawnProgram(program, args, logFile);
  let isEnding = false;
  let failure: Error | undefined;
  const ending = () => {
    if (!failure && child.exitCode === null && child.signalCode === null) return undefined;
    return `${failure?.message ?? `ended with ${child.signalCode ?? child.exitCode}`}: ${lastLines(logFile)}`;
  };
  child.once('error', (error) => {
    failure = error;
  });
  child.once('exit', () => {
    if (!isEnding) onLoss(ending() ?? '');
  });
  const kill = () => {
    isEnding = true;
    child.kill('SIGKILL');
  };
  return {
    pid: child.pid ?? 0,
    get ending() {
      return ending();
    },
    kill,
    end: async (graceMs) => {
      isEnding = true;
      const gone = exited(child);
      child.kill('SIGTERM');
      if (await Promise.race([gone, delay(graceMs, false, { ref: false })])) return;
      kill();
      await Promise.race([gone, delay(KILL_WAIT_MS, false, { ref: false })]);
    },
  };
}

/** Returns distinct loopback ports that were free when checked. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(Array.from({ length: count }, listenAnywhere));
  try {
    return servers.map((server) => {
      const address = server.address();
      if (!address || typeof address === 'string') throw new Error(`no free port on ${HOST}`);
      return address.port;
    });
  } finally {
    await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  }
}

function listenAnywhere() {
  const server = createServer();
  return new Promise<typeof server>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, HOST, () => resolve(server));
  });
}

function spawnProgram([command, ...first]: Program, args: readonly string[], logFile: string): ChildProcess {
  const output = openSync(logFile, 'w', 0o600);
  try {
    // The pipe tells our binary when this process is gone. Detached, so that Ctrl-C in a terminal reaches this process
    // first. The minimal environment keeps unrelated ETCD_* variables out.
    return spawn(command, [...first, ...args], {
      cwd: '/',
      detached: true,
      env: { PATH: process.env.PATH, BROKKR_EXIT_WITH_PARENT: '1' },
      stdio: ['pipe', output, output],
    });
  } finally {
    closeSync(output);
  }
}

function exited(child: ChildProcess): Promise<boolean> {
  if (child.exitCode !== null || child.signalCode !== null || !child.pid) return Promise.resolve(true);
  return new Promise((resolve) => child.once('exit', () => resolve(true)));
}

function lastLines(logFile: string): string {
  return readFileSync(logFile, 'utf8').trim().split('\n').slice(-4).join(' | ');
}
