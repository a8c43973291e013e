import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isKnownFolder } from './layout/rules.ts';
import { foldersBelow } from './layout/sources.ts';

const root = resolve(import.meta.dirname, '..');
const architecture = readFileSync(join(root, 'ARCHITECTURE.md'), 'utf8');
const contributing = readFileSync(join(root, 'CONTRIBUTING.md'), 'utf8');
const map = suite('the map of the project');

/** Folders whose own folders need no entry: they are generated, or have one folder per page, chart or example. */
const closed = /^(gen|proto|docs|charts|examples|console\/src|console\/dist)\//;

/** Returns the paths that a document quotes: with a slash, or with the ending of a source. */
function pathsIn(text: string): string[] {
  return [...text.replaceAll(/```[\s\S]*?```/g, '').matchAll(/`([^`\n]+)`/g)]
    .map(([, name = '']) => name)
    .filter((name) => /^\.?[\w-]+\/[\w./-]*$/.test(name));
}

/** Returns the functions that a document places in a file: "`planPrune` in `agent/sync/plan.ts`". */
function functionsIn(text: string): { name: string; path: string }[] {
  return [...text.matchAll(/`(\w+)` in\s+`([\w./-]+\.ts)`/g)].map(([, name = '', path = '']) => ({ name, path }));
}

for (const [title, text] of [
  ['ARCHITECTURE.md', architecture],
  ['CONTRIBUTING.md', contributing],
] as const) {
  map(`${title} names paths that exist`, () => {
    const paths = pathsIn(text);
    assert.ok(paths.length > 2);
    assert.equal(
      paths.filter((path) => !existsSync(join(root, path))),
      [],
    );
  });
}

map('ARCHITECTURE.md names functions that are where it says', () => {
  const places = functionsIn(architecture);
  assert.ok(places.length > 3);
  for (const { name, path } of places)
    assert.match(readFileSync(join(root, path), 'utf8'), new RegExp(`^export (async )?function ${name}\\b`, 'm'), path);
});

map('ARCHITECTURE.md names every room', () => {
  const named = new Set(pathsIn(architecture).map((path) => path.replace(/\/$/, '')));
  const rooms = foldersBelow(root).filter((folder) => folder !== '' && isKnownFolder(folder) && !closed.test(folder));
  assert.ok(rooms.length > 50);
  assert.equal(
    rooms.filter((folder) => !named.has(folder)),
    [],
  );
});

map('ARCHITECTURE.md answers the questions that a newcomer has', () => {
  for (const text of ['pruned', 'label change become a placement', 'acknowledgement is lost', '```mermaid'])
    assert.match(architecture, text);
  for (const counter of ['revision', 'order', 'generation', 'epoch', 'incarnation'])
    assert.match(architecture, new RegExp(`^\\| ${counter} \\|`, 'm'));
  for (const addition of ['An RPC', 'A table', 'A CLI command', 'The health of a kind'])
    assert.match(architecture, `**${addition}.**`);
});

map('CONTRIBUTING.md names npm scripts that exist', () => {
  const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { scripts: object };
  const named = [...contributing.matchAll(/\bnpm run (?:-s )?([\w:-]+)/g)].map(([, name = '']) => name);
  assert.ok(named.length > 3);
  assert.equal(
    named.filter((name) => !(name in scripts)),
    [],
  );
});

map.run();
