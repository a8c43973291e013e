import { readdirSync, readFileSync } from 'node:fs';
import { join, posix, resolve } from 'node:path';
import { createMarkdown, headingsOf, linkTokensOf } from './site/markdown.ts';

export const contentFolder = resolve(import.meta.dirname, 'content');

/** One page of the documents in its source form. */
export interface Page {
  /** Path below the content folder, with forward slashes: `explanation/network-flows.md`. */
  readonly path: string;
  readonly title: string;
  readonly text: string;
  /** The anchors of its headings, without `#`. */
  readonly anchors: readonly string[];
  /** The targets of its links, as written. */
  readonly links: readonly string[];
  readonly blocks: readonly Block[];
}

/** A fenced code block. */
export interface Block {
  /** `sh`, `console`, `yaml` and so on; empty when the fence names no language. */
  readonly language: string;
  readonly text: string;
  /** Line number of its first line in the page. */
  readonly line: number;
}

const markdown = createMarkdown();

/** Reads every page, by path. */
export function readPages(): Map<string, Page> {
  const paths = readdirSync(contentFolder, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.md'))
    .map((path) => path.replaceAll('\\', '/'))
    .sort();
  return new Map(paths.map((path) => [path, parsePage(path, readFileSync(join(contentFolder, path), 'utf8'))]));
}

/** Parses the text of a page. */
export function parsePage(path: string, text: string): Page {
  const tokens = markdown.parse(text, {});
  const headings = headingsOf(tokens);
  return {
    path,
    title: headings[0]?.text ?? '',
    text,
    anchors: headings.map(({ slug }) => slug),
    // The parser has already rewritten the links to those of the site.
    links: linkTokensOf(tokens).map((link) => (link.attrGet('href') ?? '').replace(/\.html(?=#|$)/, '.md')),
    blocks: tokens
      .filter(({ type }) => type === 'fence')
      .map(({ info, content, map }) => ({ language: info.trim(), text: content, line: (map?.[0] ?? 0) + 2 })),
  };
}

/** A part of the documents, as the index page lists it. */
export interface Part {
  readonly title: string;
  /** Paths of its pages, in order. */
  readonly pages: readonly string[];
}

/** Returns the parts that the index page lists, in its order. */
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
