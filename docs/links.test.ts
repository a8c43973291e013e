import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, posix, resolve } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parsePage, partsOf, readPages } from './pages.ts';

const root = resolve(import.meta.dirname, '..');
const pages = readPages();
const links = suite('links of the documents');

/** Returns the problem of a link in a file (relative to the root); undefined when its target exists. */
function problemOf(from: string, link: string): string | undefined {
  if (/^\w+:/.test(link)) return /^https:\/\/[\w.-]+\.\w+(\/\S*)?$/.test(link) ? undefined : 'is not an https address';
  const [target = '', anchor] = link.split('#');
  const path = target === '' ? from : posix.join(posix.dirname(from), target);
  if (!existsSync(join(root, path))) return 'has no target';
  if (anchor === undefined) return undefined;
  const page = parsePage(path, readFileSync(join(root, path), 'utf8'));
  return page.anchors.includes(anchor) ? undefined : 'has no such heading';
}

links('lead to existing files and headings', () => {
  const texts = [
    ...[...pages.values()].map(({ path, text }) => [posix.join('docs/content', path), text] as const),
    ...['README.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md'].map(
      (name) => [name, readFileSync(join(root, name), 'utf8')] as const,
    ),
  ];
  const broken = texts.flatMap(([path, text]) =>
    parsePage(path, text).links.flatMap((link) => {
      const problem = problemOf(path, link);
      return problem === undefined ? [] : [`${path}: ${link} ${problem}`];
    }),
  );
  assert.equal(broken, []);
});

links('that are broken are found', () => {
  assert.is(problemOf('docs/content/index.md', 'no/such.md'), 'has no target');
  assert.is(problemOf('docs/content/index.md', '#no-such-heading'), 'has no such heading');
  assert.is(problemOf('docs/content/index.md', 'http://example.org'), 'is not an https address');
});

links('of the index page reach every page, each once', () => {
  const index = pages.get('index.md');
  assert.ok(index);
  const listed = partsOf(index).flatMap((part) => part.pages);
  assert.equal(
    listed.toSorted(),
    [...pages.keys()].filter((path) => path !== 'index.md'),
  );
});

links('stay in the folders of Diátaxis, with a title on each page', () => {
  const folders = readdirSync(join(import.meta.dirname, 'content'), { withFileTypes: true });
  assert.equal(
    folders.filter((entry) => entry.isDirectory()).map(({ name }) => name),
    ['explanation', 'how-to', 'images', 'reference', 'tutorials'],
  );
  for (const { path, title, text } of pages.values()) {
    assert.ok(text.startsWith(`# ${title}\n`), `${path} does not start with its title`);
  }
});

links.run();
