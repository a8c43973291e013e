import { spawn } from 'node:child_process';
import path from 'node:path';
import { text } from 'node:stream/consumers';

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  /** The whole environment besides PATH and HOME. */
  readonly env?: Readonly<Record<string, string>>;
  readonly stdin?: string;
  readonly deadlineMs?: number;
  readonly signal?: AbortSignal;
  /** Called when the program has said something for the first time. */
  readonly onFirstOutput?: () => void;
}

const root = path.resolve(import.meta.dirname, '..');

/** Runs one of our programs as a process of its own, at most a minute. Rejects only when it could not be started. */
export async function runProgram(file: string, args: readonly string[], options: RunOptions = {}): Promise<Ended> {
  const { env = {}, stdin = '', deadlineMs = 60_000, signal, onFirstOutput } = options;
  const { PATH = '', HOME = '' } = process.env;
  const child = spawn(process.execPath, [path.join(root, file), ...args], { env: { PATH, HOME, ...env } });
  const timer = setTimeout(() => child.kill('SIGKILL'), deadlineMs);
  const end = () => child.kill('SIGINT');
  signal?.addEventListener('abort', end, { once: true });
  if (onFirstOutput) child.stdout.once('readable', onFirstOutput);
  // A program that ends without reading is none of the writer's business.
  child.stdin.on('error', () => {});
  child.stdin.end(stdin);
  try {
    const code = new Promise<number | null>((settle, fail) => {
      child.once('error', fail);
      child.once('close', settle);
    });
    const [ended, stdout, stderr] = await Promise.all([code, text(child.stdout), text(child.stderr)]);
    return { code: ended, stdout, stderr };
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', end);
  }
}
