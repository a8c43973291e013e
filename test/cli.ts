import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import type { TestBroker } from './broker.ts';
import { type Ended, type RunOptions, runProgram } from './tools/command.ts';

export interface TestCli {
  /** An empty folder that `close` removes. */
  readonly folder: string;
  /** Runs the command; an argument with spaces in it requires a list. */
  run(args: string | readonly string[], options?: RunOptions): Promise<Ended>;
  /** Runs the command, which must end with 0, and returns its standard output. */
  done(args: string | readonly string[], options?: RunOptions): Promise<string>;
  /** Runs the command, which must end with this exit code, and returns its standard error. */
  fails(code: 1 | 2, args: string | readonly string[], options?: RunOptions): Promise<string>;
  close(): void;
}

/** Creates a CLI that authenticates with a key (default: the admin's) and ignores the user's own contexts. */
export function testCli(broker: TestBroker, pak = broker.adminPak): TestCli {
  const folder = mkdtempSync(join(tmpdir(), 'brokkr-cli-'));
  const env = { BROKKR_SERVER: broker.url, BROKKR_PAK: pak, XDG_CONFIG_HOME: folder, XDG_CACHE_HOME: folder };
  const run: TestCli['run'] = (args, options = {}) => {
    const list = typeof args === 'string' ? args.split(' ') : args;
    return runProgram('cli/main.ts', list, { ...options, env: { ...env, ...options.env } });
  };
  return {
    folder,
    run,
    done: async (args, options) => {
      const { code, stdout, stderr } = await run(args, options);
      assert.is(code, 0, `${args}\n${stdout}${stderr}`);
      return stdout;
    },
    fails: async (wanted, args, options) => {
      const { code, stdout, stderr } = await run(args, options);
      assert.is(code, wanted, `${args}\n${stdout}${stderr}`);
      assert.match(stderr, /^error: /m);
      assert.not.match(stderr, /\n {4}at /, 'an error is for people: no stack');
      return stderr;
    },
    close: () => rmSync(folder, { recursive: true, force: true }),
  };
}
