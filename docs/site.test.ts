import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { readPages } from './pages.ts';
import { buildSite } from './site/build.ts';

const folder = mkdtempSync(join(tmpdir(), 'brokkr-site-'));
const count = await buildSite(join(folder, 'site'));
const files = readdirSync(join(folder, 'site'), { recursive: true, encoding: 'utf8' });
const html = new Map(
  files
    .filter((name) => name.endsWith('.html'))
    .map((name) => [name, readFileSync(join(folder, 'site', name), 'utf8')]),
);
const site = suite('the site');
site.after(() => rmSync(folder, { recursive: true, force: true }));

site('has every page with its title', () => {
  const pages = readPages();
  assert.is(count, pages.size);
  assert.is(html.size, pages.size);
  for (const { path, title } of pages.values()) {
    const text = html.get(path.replace(/md$/, 'html'));
    assert.match(text ?? '', `<title>${title} · Brokkr</title>`);
  }
});

site('links to existing pages and anchors', () => {
  const broken = [...html].flatMap(([name, text]) =>
    [...text.matchAll(/\b(?:href|src)="([^"]+)"/g)].flatMap(([, link = '']) => {
      if (/^(\w+:|#)/.test(link)) return [];
      const [file = '', anchor] = link.split('#');
      const target = join(dirname(name), file);
      if (!existsSync(join(folder, 'site', target))) return [`${name}: ${link}`];
      return anchor === undefined || html.get(target)?.includes(`id="${anchor}"`) ? [] : [`${name}: ${link}`];
    }),
  );
  assert.equal(broken, []);
});

site('loads nothing from other sites, and has no inline scripts or styles', () => {
  for (const [name, text] of html) {
    assert.match(text, /http-equiv="content-security-policy"\s+content="default-src 'none'; script-src 'self';/, name);
    assert.not.match(text, /<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=|(src|<link[^>]*href)="https?:/, name);
  }
});

site('draws diagrams, and loads their script only on pages that have some', () => {
  for (const { path, blocks } of readPages().values()) {
    const text = html.get(path.replace(/md$/, 'html')) ?? '';
    const diagrams = blocks.filter(({ language }) => language === 'mermaid').length;
    assert.is(text.match(/<pre class="mermaid">/g)?.length ?? 0, diagrams, path);
    assert.is(text.includes('assets/mermaid.js'), diagrams > 0, path);
  }
});

site.run();
