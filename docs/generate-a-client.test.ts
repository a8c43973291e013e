// time limit: 15 min
import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { startTestBroker } from '../test/broker.ts';
import { needs } from '../test/runner/needs.ts';
import { type Block, readPages } from './pages.ts';

const root = resolve(import.meta.dirname, '..');
const page = readPages().get('how-to/generate-a-client.md');
const clients = suite('generated clients');
const broker = await startTestBroker();
clients.after(() => broker.close());

/** Returns the blocks below a heading. */
function blocksOf(heading: string): Block[] {
  assert.ok(page);
  const lines = page.text.split('\n');
  const first = lines.indexOf(`## ${heading}`) + 1;
  const next = lines.findIndex((line, index) => index >= first && line.startsWith('## '));
  assert.ok(first > 0, heading);
  return page.blocks.filter(({ line }) => line > first && (next < 0 || line < next));
}

/** Runs shell text in a folder with only the contract in it, and returns what it prints last. */
async function lastLineOf(folder: string, ...scripts: readonly string[]): Promise<string | undefined> {
  const path = [join(root, 'node_modules/.bin'), process.env.PATH, '/usr/local/go/bin'].join(delimiter);
  const env = { ...process.env, PATH: path, BROKER_ADDRESS: new URL(broker.url).host, BROKKR_PAK: broker.adminPak };
  const { stdout } = await promisify(execFile)('sh', ['-ec', scripts.join('\n')], {
    cwd: folder,
    env,
    timeout: 800_000,
  });
  return stdout.trimEnd().split('\n').at(-1);
}

/** Runs a test in a folder with a copy of the contract, as a user has it. */
async function withContract(test: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'brokkr-client-'));
  try {
    cpSync(join(root, 'proto'), join(folder, 'proto'), { recursive: true });
    await test(folder);
  } finally {
    await promisify(execFile)('chmod', ['-R', 'u+w', folder]);
    rmSync(folder, { recursive: true, force: true });
  }
}

function write(folder: string, file: string, block: Block | undefined): void {
  assert.ok(block, file);
  mkdirSync(dirname(join(folder, file)), { recursive: true });
  writeFileSync(join(folder, file), block.text);
}

const find = (blocks: readonly Block[], language: string) => blocks.filter((block) => block.language === language);

if (needs('python'))
  clients('in Python deploy as the page says', () =>
    withContract(async (folder) => {
      const blocks = blocksOf('Python');
      write(folder, 'client/deliver.py', find(blocks, 'python')[0]);
      const scripts = find(blocks, 'sh').map(({ text }) => text);
      assert.is(await lastLineOf(folder, ...scripts), 'revision 1 of system/from-python');
    }),
  );

if (needs('go'))
  clients('in Go deploy as the page says', () =>
    withContract(async (folder) => {
      const blocks = blocksOf('Go');
      write(folder, 'buf.gen.yaml', find(blocks, 'yaml')[0]);
      write(folder, 'main.go', find(blocks, 'go')[0]);
      const [script] = find(blocks, 'sh');
      assert.is(await lastLineOf(folder, script?.text ?? ''), 'revision 1 of system/from-go');
    }),
  );

clients.run();
