import { spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { cacheRoot } from '../../sandbox/apiserver/build.ts';
import { killAll, remainingProcesses } from '../tools/processes.ts';
import type { TestFile } from './test-file.ts';
import type { Run } from './verdict.ts';

export interface RunOptions {
  readonly root: string;
  /** Ends the run, with everything it started. */
  readonly signal: AbortSignal;
  /** Milliseconds that a process may continue after its closing lines, which reveals open handles; default 20 s. */
  readonly lingerMs?: number;
  /** Milliseconds that the processes which it started may outlive it; default 5 s. */
  readonly graceMs?: number;
}

const LINGER_MS = 20_000;
const GRACE_MS = 5_000;
/** Milliseconds for a killed process to disappear. */
const KILL_WAIT_MS = 5_000;
/** Longer output is cut in the middle of a report. */
const OUTPUT_LIMIT = 4 * 1024 * 1024;

/**
 * Runs one test file as a process of its own, with a temporary folder of its own, and returns when that process and all
 * that it started are gone: those that remain after the time limit or after the grace are killed.
 */
export async function runFile(file: TestFile, options: RunOptions): Promise<Run> {
  const { root, signal, lingerMs = LINGER_MS, graceMs = GRACE_MS } = options;
  const folder = mkdtempSync(join(tmpdir(), 'brokkr-test-'));
  // The database runs as another user, who must be able to enter the folder.
  chmodSync(folder, 0o711);
  const began = Date.now();
  const child = spawn(process.execPath, [file.path], {
    cwd: root,
    detached: true,
    env: testEnvironment(folder),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const group = child.pid;
  let ended: string | undefined;
  const end = (why: string) => {
    ended ??= why;
    if (group !== undefined) killGroup(group);
  };
  const abort = () => end('interrupted');
  signal.addEventListener('abort', abort, { once: true });
  const limit = setTimeout(() => end(`took longer than its time limit of ${file.limitMs / 60_000} min`), file.limitMs);
  let linger: NodeJS.Timeout | undefined;
  let output = '';
  const take = (text: string) => {
    output = (output + text).slice(-OUTPUT_LIMIT);
    if (/^ {2}Duration: /m.test(text))
      linger ??= setTimeout(() => end('did not exit after its tests: something is still open'), lingerMs);
  };
  child.stdout.setEncoding('utf8').on('data', take);
  child.stderr.setEncoding('utf8').on('data', take);
  const closed = new Promise<void>((settle) => child.once('close', () => settle()));
  try {
    const exit = await new Promise<Run['exit']>((settle, fail) => {
      child.once('exit', (code, name) => settle({ code, signal: name }));
      child.once('error', fail);
    });
    const durationMs = Date.now() - began;
    const left = await remainingProcesses(folder, ended === undefined ? graceMs : 0, group);
    killAll(left.map(({ pid }) => pid));
    if (left.length > 0) await remainingProcesses(folder, KILL_WAIT_MS, group);
    // An orphaned process may keep the pipe open.
    await Promise.race([closed, delay(2_000, undefined, { ref: false })]);
    // Processes that a killed test could not end are not its fault.
    const faults = ended === undefined ? left.map(({ pid, command }) => `${pid} ${command}`) : [];
    return { output, exit, durationMs, endedBy: ended, remaining: faults };
  } finally {
    clearTimeout(limit);
    clearTimeout(linger);
    signal.removeEventListener('abort', abort);
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

/**
 * Returns our environment without variables that could change a test's outcome: colours, and the developer's settings
 * of a broker or agent.
 */
function testEnvironment(folder: string): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(
    ([name]) => name !== 'FORCE_COLOR' && (!name.startsWith('BROKKR_') || name.startsWith('BROKKR_TEST_')),
  );
  // Each file is a process that loads most of the project: compiling it once for all of them saves a third of their start.
  const NODE_COMPILE_CACHE = join(cacheRoot(), 'compiled');
  return { ...Object.fromEntries(kept), TMPDIR: folder, NO_COLOR: '1', NODE_COMPILE_CACHE };
}

function killGroup(group: number): void {
  try {
    process.kill(-group, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
