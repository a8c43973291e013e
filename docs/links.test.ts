import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, posix, resolve } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parsePage, partsOf, readPages } from './pages.ts';

const root = resolve(import.meta.dirname, '..');
const pages = readPages();
const links = suite('links of the documents');

/** What is wrong with a link from a file (relative to the root); undefined when it leads somewhere. */
function problemOf(from: string, link: string): string | undefined {
  if (/^\w+:/.test(link)) return /^https:\/\/[\w.-]+\.\w+(\/\S*)?$/.test(link) ? undefined : 'is no https address';
  const [target = '', anchor] = link.split('#');
  const path = target === '' ? from : posix.join(posix.dirname(from), target);
  if (!existsSync(join(root, path))) return 'leads to nothing';
  if (anchor === undefined) return undefined;
  const page = parsePage(path, readFileSync(join(root, path), 'utf8'));
  return page.anchors.includes(anchor) ? undefined : 'leads to no heading';
}

links('lead to files and headings that are there', () => {
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

links('are checked for what they are checked for', () => {
  assert.is(problemOf('docs/content/index.md', 'no/such.md'), 'leads to nothing');
  assert.is(problemOf('docs/content/index.md', '#no-such-heading'), 'leads to no heading');
  assert.is(problemOf('docs/content/index.md', 'http://example.org'), 'is no https address');
});

links('of the first page reach every page, each once', () => {
  const index = pages.get('index.md');
  assert.ok(index);
  const listed = partsOf(index).flatMap((part) => part.pages);
  assert.equal(
    listed.toSorted(),
    [...pages.keys()].filter((path) => path !== 'index.md'),
  );
});

links('stay in folders of Diátaxis, a title on each page', () => {
  const folders = readdirSync(join(import.meta.dirname, 'content'), { withFileTypes: true });
  assert.equal(
    folders.filter((entry) => entry.isDirectory()).map(({ name }) => name),
    ['explanation', 'how-to', 'images', 'reference', 'tutorials'],
  );
  for (const { path, title, text } of pages.values()) {
    assert.ok(text.startsWith(`# ${title}\n`), `${path} does not begin with its title`);
  }
});

links.run();
