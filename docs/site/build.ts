/** Builds a static site from the documents: `npm run docs [-- FOLDER]`, by default into docs/dist. */
import { copyFileSync, cpSync, mkdirSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, relative, resolve } from 'node:path';
import Eleventy from '@11ty/eleventy';
import { contentFolder, readPages } from '../pages.ts';

const root = resolve(import.meta.dirname, '../..');

/** Writes the site into a folder, which is emptied first, and returns the number of pages. Rejects when a page cannot be built. */
export async function buildSite(out: string): Promise<number> {
  rmSync(out, { recursive: true, force: true });
  // Eleventy resolves every path against the working directory.
  const here = (path: string) => relative(process.cwd(), path);
  const site = new Eleventy(here(contentFolder), here(out), {
    quietMode: true,
    configPath: here(join(import.meta.dirname, 'eleventy.config.ts')),
  });
  await site.write();
  cpSync(join(contentFolder, 'images'), join(out, 'images'), { recursive: true });
  const assets = join(out, 'assets');
  mkdirSync(assets, { recursive: true });
  for (const name of ['style.css', 'diagrams.js']) copyFileSync(join(import.meta.dirname, name), join(assets, name));
  copyFileSync(createRequire(import.meta.url).resolve('@mermaid-js/tiny'), join(assets, 'mermaid.js'));
  return readPages().size;
}

if (import.meta.main) {
  const out = resolve(process.argv[2] ?? join(root, 'docs/dist'));
  const count = await buildSite(out);
  process.stdout.write(`${count} pages in ${out}\n`);
}
