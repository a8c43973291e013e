import { spawn } from 'node:child_process';
import path from 'node:path';

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A wait for text in the output of a running program. */
export interface Hearing {
  readonly onOutput: (said: string) => void;
  readonly heard: Promise<void>;
}

/** Pass `onOutput` to the program and wait for `heard`, together with the program's end: the text may never come. */
export function listenFor(text: string): Hearing {
  const { promise: heard, resolve } = Promise.withResolvers<void>();
  return { heard, onOutput: (said) => (said.includes(text) ? resolve() : undefined) };
}

export interface RunOptions {
  /** The whole environment besides PATH and HOME. */
  readonly env?: Readonly<Record<string, string>>;
  readonly stdin?: string;
  readonly deadlineMs?: number;
  readonly signal?: AbortSignal;
  /** Called with all output so far, on standard output and standard error, whenever there is more. */
  readonly onOutput?: (said: string) => void;
}

const root = path.resolve(import.meta.dirname, '../..');

/** Runs one of our programs as a process, at most a minute. Rejects only when it cannot be started. */
export async function runProgram(file: string, args: readonly string[], options: RunOptions = {}): Promise<Ended> {
  const { env = {}, stdin = '', deadlineMs = 60_000, signal, onOutput } = options;
  const { PATH = '', HOME = '' } = process.env;
  const child = spawn(process.execPath, [path.join(root, file), ...args], { env: { PATH, HOME, ...env } });
  const timer = setTimeout(() => child.kill('SIGKILL'), deadlineMs);
  const end = () => child.kill('SIGINT');
  signal?.addEventListener('abort', end, { once: true });
  const said = { stdout: '', stderr: '' };
  for (const stream of ['stdout', 'stderr'] as const)
    child[stream].setEncoding('utf8').on('data', (text: string) => {
      said[stream] += text;
      onOutput?.(said.stdout + said.stderr);
    });
  // The program may end without reading its input.
  child.stdin.on('error', () => {});
  child.stdin.end(stdin);
  try {
    const code = new Promise<number | null>((settle, fail) => {
      child.once('error', fail);
      child.once('close', settle);
    });
    return { code: await code, ...said };
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', end);
  }
}
