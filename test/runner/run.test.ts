import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { runTests } from '../run.ts';
import { runFile } from './run-file.ts';
import { findTestFiles, limitOf, needsOf, suitesOf } from './test-file.ts';
import { judge, type Verdict } from './verdict.ts';

// A folder below the checkout, so that the files written here find uvu. `npm test` itself never searches it.
const cache = join(import.meta.dirname, '../../.cache');
mkdirSync(cache, { recursive: true });
const root = mkdtempSync(join(cache, 'guard-'));
const head = `import { suite } from 'uvu'; import * as assert from 'uvu/assert';\nconst s = suite('s');\n`;

async function verdictOn(source: string, options: { lingerMs?: number; limitMs?: number } = {}): Promise<Verdict> {
  writeFileSync(join(root, 'one.test.ts'), source);
  const { limitMs = 60_000, ...rest } = options;
  const file = { path: 'one.test.ts', source, limitMs };
  const run = await runFile(file, { root, signal: new AbortController().signal, graceMs: 300, ...rest });
  return judge(file, run);
}

function alive(pid: number): boolean {
  return existsSync(`/proc/${pid}`) && !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
}

const guard = suite('guard');

guard.before.each(() => {
  for (const name of ['one.test.ts', 'two.test.ts', 'pid']) rmSync(join(root, name), { force: true });
});
guard.after(() => rmSync(root, { recursive: true, force: true }));

guard('counts the tests that passed', async () => {
  const verdict = await verdictOn(`${head}s('a', () => {}); s('b', () => {}); s.run();`);
  assert.equal(verdict, { passed: 2, failed: 0, skipped: 0, skips: [], problems: [] });
});

guard('counts a failed test', async () => {
  const { passed, failed, problems } = await verdictOn(`${head}s('a', () => {}); s('b', () => assert.ok(0)); s.run();`);
  assert.equal({ passed, failed, problems }, { passed: 1, failed: 1, problems: ['1 of 2 tests passed'] });
});

const wrong = [
  ['a file without a test', `${head}s.run();`, 'ran no test'],
  [
    'a suite whose before throws',
    `${head}s.before(() => { throw new Error(); }); s('a', () => {}); s.run();`,
    '0 of 1',
  ],
  ['an .only left in', `${head}s('a', () => {}); s.only('b', () => {}); s.run();`, 'skipped by .skip or .only'],
  ['a .skip left in', `${head}s('a', () => {}); s.skip('b', () => {}); s.run();`, 'skipped by .skip or .only'],
  [
    'a suite that is never run',
    `${head}const t = suite('t');\nt('b', () => {}); s('a', () => {}); s.run();`,
    '1 of 2 suites',
  ],
  ['a file that throws', `${head}throw new Error('no');`, 'did not get to its closing lines'],
  ['an exit before the end', `${head}s('a', () => process.exit(0)); s.run();`, 'did not get to its closing lines'],
  [
    'an exit code after the end',
    `${head}s('a', () => {}); s.run(); process.on('exit', () => process.exit(3));`,
    'exited with 3',
  ],
  [
    'a promise that never settles',
    `${head}s('a', () => new Promise(() => {})); s.run();`,
    'did not get to its closing lines',
  ],
  ['a death by signal', `${head}s('a', () => process.kill(process.pid, 'SIGKILL')); s.run();`, 'ended by SIGKILL'],
] as const;

for (const [what, source, problem] of wrong) {
  guard(`fails ${what}`, async () => {
    const { failed, problems } = await verdictOn(source);
    assert.ok(failed > 0);
    assert.match(problems.join('; '), problem);
  });
}

guard('fails a file that keeps something open', async () => {
  const source = `${head}s('a', () => {}); s.run(); setInterval(() => {}, 1000);`;
  const { problems } = await verdictOn(source, { lingerMs: 300 });
  assert.equal(problems, ['did not exit after its tests: something is still open']);
});

guard('kills a file that exceeds its time limit', async () => {
  const source = `${head}s('a', () => new Promise((settle) => setTimeout(settle, 60_000))); s.run();`;
  const { failed, problems } = await verdictOn(source, { limitMs: 600 });
  assert.is(failed, 1);
  assert.match(problems.join('; '), 'took longer than its time limit');
});

guard('fails a file that leaves a process with a session of its own, and kills that', async () => {
  const pidFile = join(root, 'pid');
  const source = `${head}
    import { spawn } from 'node:child_process';
    import { writeFileSync } from 'node:fs';
    import { tmpdir } from 'node:os';
    s('a', () => {
      const args = ['-e', 'setInterval(() => {}, 1000)', tmpdir()];
      const child = spawn(process.execPath, args, { detached: true, stdio: 'ignore' });
      writeFileSync(${JSON.stringify(pidFile)}, String(child.pid));
      child.unref();
    });
    s.run();`;
  const { failed, problems } = await verdictOn(source);
  assert.is(failed, 1);
  assert.match(problems.join('; '), /left a process running: \d+ .*setInterval/);
  assert.not(alive(Number(readFileSync(pidFile, 'utf8'))));
});

guard('counts the tests that this machine cannot run, with the reason', async () => {
  const source = `${head}
    process.stdout.write('SKIP go: no Go\\n');
    if (process.argv.length > 99) {
      s('a', () => {});
      s('b', () => {});
    }
    s.run();`;
  const verdict = await verdictOn(source);
  assert.equal(verdict, { passed: 0, failed: 0, skipped: 2, skips: ['go: no Go'], problems: [] });
});

guard('gives each file a temporary folder, and hides the developer’s settings', async () => {
  process.env.BROKKR_DATABASE_URL = 'postgres://elsewhere';
  const source = `${head}
    import { tmpdir } from 'node:os';
    s('a', () => {
      assert.match(tmpdir(), /brokkr-test-/);
      assert.is(process.env.BROKKR_DATABASE_URL, undefined);
    });
    s.run();`;
  assert.equal((await verdictOn(source)).problems, []);
  delete process.env.BROKKR_DATABASE_URL;
});

guard('prints the totals last, and returns whether all passed', async () => {
  const lines: string[] = [];
  const run = (...patterns: string[]) => {
    lines.length = 0;
    return runTests(root, patterns, new AbortController().signal, (line) => lines.push(line));
  };
  writeFileSync(join(root, 'one.test.ts'), `${head}s('a', () => {}); s('b', () => {}); s.run();`);
  writeFileSync(join(root, 'two.test.ts'), `${head}s('a', () => assert.ok(false, 'told')); s.run();`);
  assert.not(await run());
  assert.is(lines.at(-1), '2 passed, 1 failed');
  assert.match(lines.join('\n'), 'told');
  assert.ok(await run('one'));
  assert.is(lines.at(-1), '2 passed, 0 failed');
  assert.not(await run('three'));
  assert.is(lines.at(-1), '0 passed, 1 failed');
});

guard('ends its tests when it is interrupted, and fails then', async () => {
  const pidFile = join(root, 'pid');
  writeFileSync(
    join(root, 'one.test.ts'),
    `${head}
    import { writeFileSync } from 'node:fs';
    writeFileSync(${JSON.stringify(pidFile)}, String(process.pid));
    s('a', () => new Promise((settle) => setTimeout(settle, 60_000)));
    s.run();`,
  );
  const script = `import { runTests } from ${JSON.stringify(import.meta.resolve('../run.ts'))};
    const stop = new AbortController();
    process.once('SIGINT', () => stop.abort());
    process.exitCode = (await runTests(${JSON.stringify(root)}, [], stop.signal, () => {})) ? 0 : 1;`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: 'inherit' });
  const exited = once(child, 'exit');
  const deadline = Date.now() + 30_000;
  while (!existsSync(pidFile) && Date.now() < deadline) await new Promise((settle) => setTimeout(settle, 20));
  child.kill('SIGINT');
  assert.equal(await exited, [1, null]);
  assert.not(alive(Number(readFileSync(pidFile, 'utf8'))));
});

guard('reads what a source declares', () => {
  const source = `// time limit: 12 min\n${head}if (needs('go')) s('a', () => {});\n  s('b', () => {});\ns.run();\n`;
  assert.is(limitOf(source), 12 * 60_000);
  assert.is(limitOf(`\n${source}`), 5 * 60_000);
  assert.equal(needsOf(source), ['go']);
  assert.equal(suitesOf(source), [{ name: 's', tests: 1, runs: 1 }]);
});

guard('runs the files with the longest limit first', () => {
  writeFileSync(join(root, 'one.test.ts'), head);
  writeFileSync(join(root, 'two.test.ts'), `// time limit: 10 min\n${head}`);
  assert.equal(
    findTestFiles(root).map(({ path }) => path),
    ['two.test.ts', 'one.test.ts'],
  );
});

guard.run();
