import { readdirSync, readFileSync } from 'node:fs';
import { join, posix, resolve } from 'node:path';
import { createMarkdown, headingsOf, linkTokensOf } from './site/markdown.ts';

export const contentFolder = resolve(import.meta.dirname, 'content');

/** One page of the documents, as it is written. */
export interface Page {
  /** Below the content folder, with forward slashes: `explanation/network-flows.md`. */
  readonly path: string;
  readonly title: string;
  readonly text: string;
  /** What a link may name after `#`. */
  readonly anchors: readonly string[];
  /** Where its links lead, as written. */
  readonly links: readonly string[];
  readonly blocks: readonly Block[];
}

/** A fenced block of code. */
export interface Block {
  /** `sh`, `console`, `yaml`, …; empty when the fence says nothing. */
  readonly language: string;
  readonly text: string;
  /** Of its first line, in the page. */
  readonly line: number;
}

const markdown = createMarkdown();

/** Every page, by path. */
export function readPages(): Map<string, Page> {
  const paths = readdirSync(contentFolder, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.md'))
    .map((path) => path.replaceAll('\\', '/'))
    .sort();
  return new Map(paths.map((path) => [path, parsePage(path, readFileSync(join(contentFolder, path), 'utf8'))]));
}

/** Reads a page's text. */
export function parsePage(path: string, text: string): Page {
  const tokens = markdown.parse(text, {});
  const headings = headingsOf(tokens);
  return {
    path,
    title: headings[0]?.text ?? '',
    text,
    anchors: headings.map(({ slug }) => slug),
    // The parser has already turned the links into those of the site.
    links: linkTokensOf(tokens).map((link) => (link.attrGet('href') ?? '').replace(/\.html(?=#|$)/, '.md')),
    blocks: tokens
      .filter(({ type }) => type === 'fence')
      .map(({ info, content, map }) => ({ language: info.trim(), text: content, line: (map?.[0] ?? 0) + 2 })),
  };
}

/** A part of the documents, as the first page lists it. */
export interface Part {
  readonly title: string;
  /** Paths of its pages, in their order. */
  readonly pages: readonly string[];
}

/** The parts that the first page lists, which is the order of everything. */
export function partsOf(index: Page): Part[] {
  return index.text
    .split(/^## /m)
    .slice(1)
    .map((section) => {
      const part = parsePage(index.path, `## ${section}`);
      return { title: part.title, pages: part.links.filter((link) => link.endsWith('.md')).map(posix.normalize) };
    })
    .filter(({ pages }) => pages.length > 0);
}
