import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import * as assert from 'uvu/assert';
import { eventually } from '../broker.ts';
import { killAll, processesLeft } from './processes.ts';

export interface Started {
  readonly child: ChildProcess;
  /** Returns the output so far, of both streams. */
  text(): string;
  /** Returns the whole output, once everything runs. Rejects when the process ends before. */
  ready(): Promise<string>;
  /** Sends a signal as a terminal does: to npm and to what it runs. */
  signal(name: NodeJS.Signals): void;
  /** Waits for the exit code; null when npm ended by the signal that it was sent. */
  ended(): Promise<number | null>;
}

/** The starts of one test file, in a temporary folder. */
export interface Starts {
  readonly folder: string;
  /** Runs the real `npm start` with these options. */
  start(...args: string[]): Started;
  /** Runs it where it must end with this code and this one line; returns its output. */
  refused(line: RegExp, code: 1 | 2, ...args: string[]): Promise<string>;
  /** Ends what was started, and what it left. */
  end(): Promise<void>;
  close(): void;
}

const root = resolve(import.meta.dirname, '../..');
const READY_MS = 60_000;

export function npmStarts(): Starts {
  const folder = mkdtempSync(join(tmpdir(), 'brokkr-start-'));
  chmodSync(folder, 0o755);
  const children: ChildProcess[] = [];
  const start = (...args: string[]) => {
    const started = launch(args);
    children.push(started.child);
    return started;
  };
  return {
    folder,
    start,
    refused: async (line, code, ...args) => {
      const started = start(...args);
      assert.is(await started.ended(), code, started.text());
      const lines = started.text().split('\n');
      const told = lines.filter((text) => text.startsWith('npm start: '));
      assert.is(told.length, 1, started.text());
      assert.match(told[0] ?? '', line);
      assert.not.match(started.text(), /\n {4}at /, 'a stack is not for the user');
      return started.text();
    },
    end: async () => {
      for (const child of children.splice(0)) {
        if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) continue;
        const exited = once(child, 'exit');
        process.kill(-child.pid, 'SIGTERM');
        await exited;
      }
      killAll((await processesLeft(folder, 5_000)).map(({ pid }) => pid));
    },
    close: () => rmSync(folder, { recursive: true, force: true }),
  };
}

function launch(args: readonly string[]): Started {
  const { PATH, HOME } = process.env;
  const child = spawn('npm', ['start', '--', ...args], {
    cwd: root,
    detached: true,
    env: { PATH, HOME, TMPDIR: tmpdir(), NO_COLOR: '1', npm_config_update_notifier: 'false' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let text = '';
  const take = (more: string) => {
    text += more;
  };
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', take);
  const closed = once(child, 'close') as Promise<[number | null]>;
  return {
    child,
    text: () => text,
    ready: () =>
      eventually(() => {
        assert.is(child.exitCode, null, text);
        return text.includes('Ctrl-C stops everything') && text;
      }, READY_MS),
    signal: (name) => {
      assert.ok(child.pid);
      process.kill(-child.pid, name);
    },
    ended: async () => (await closed)[0],
  };
}

/** Finds the admin key in the output, if it was shown. */
export function keyIn(text: string): string | undefined {
  return /BROKKR_PAK=(brokkr_ad\w+)/.exec(text)?.[1];
}

/** Asserts that no process uses the folder, and none the port. */
export async function assertNothingLeft(folder: string, port: number): Promise<void> {
  assert.equal(await processesLeft(folder, 1_000), []);
  const answered = await new Promise((settle) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => settle(true)).once('error', () => settle(false));
    socket.once('connect', () => socket.destroy());
  });
  assert.not(answered, `port ${port} is still answered`);
}
