import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';

const START_MS = 60_000;

export interface ProgramOptions {
  /** The tree that contains the program; default: this one. */
  readonly root?: string;
  /** The program's file, relative to `root`. */
  readonly file: string;
  /** The whole environment besides PATH and HOME. */
  readonly env: Readonly<Record<string, string>>;
  /** Matches the line of its standard output that says it is ready; default: the first one. */
  readonly ready?: RegExp;
}

/** A broker or an agent as a process of its own. */
export interface Program {
  /** Starts it, and resolves with the line that says it is ready. Rejects when it ends before. */
  start(): Promise<string>;
  /** Ends it with SIGKILL, and starts it again. */
  replace(): Promise<void>;
  /** Ends it with SIGTERM, and resolves when it has exited. */
  stop(): Promise<void>;
}

export function createProgram({
  root = resolve(import.meta.dirname, '../..'),
  file,
  env,
  ready = /./,
}: ProgramOptions): Program {
  let child: ChildProcess | undefined;
  const start = async () => {
    const started = spawn(process.execPath, [join(root, file)], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { PATH: process.env.PATH, HOME: process.env.HOME, ...env },
    });
    child = started;
    const timer = setTimeout(() => started.kill('SIGKILL'), START_MS);
    const readyLine = Promise.withResolvers<string>();
    createInterface({ input: started.stdout }).on('line', (line) => ready.test(line) && readyLine.resolve(line));
    started.once('exit', (code) => readyLine.reject(new Error(`${file} ended with ${code} before it was ready`)));
    return readyLine.promise.finally(() => clearTimeout(timer));
  };
  const end = async (signal: NodeJS.Signals) => {
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    child.kill(signal);
    await once(child, 'exit');
  };
  return {
    start,
    async replace() {
      await end('SIGKILL');
      await start();
    },
    stop: () => end('SIGTERM'),
  };
}
