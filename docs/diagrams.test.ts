import { createReadStream, existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { extname, join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { openChromium } from '../sandbox/chromium.ts';
import { needs } from '../test/runner/needs.ts';
import { readPages } from './pages.ts';
import { buildSite } from './site/build.ts';

const types: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css',
  '.js': 'text/javascript',
  '.png': 'image/png',
};

const diagrams = suite('diagrams of the documents');
if (needs('chromium')) await describe();
diagrams.run();

async function describe(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'brokkr-diagrams-'));
  await buildSite(folder);
  const server = createServer((request, response) => {
    const file = join(folder, new URL(request.url ?? '/', 'http://localhost').pathname);
    if (!existsSync(file) || !statSync(file).isFile()) return void response.writeHead(404).end();
    response.writeHead(200, { 'content-type': types[extname(file)] ?? 'application/octet-stream' });
    createReadStream(file).pipe(response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const browser = await openChromium();
  diagrams.after(async () => {
    await browser.close();
    server.closeAllConnections();
    server.close();
    rmSync(folder, { recursive: true, force: true });
  });

  for (const { path, blocks } of readPages().values()) {
    const count = blocks.filter(({ language }) => language === 'mermaid').length;
    if (count === 0) continue;
    for (const colorScheme of ['light', 'dark'] as const) {
      diagrams(`are drawn on ${path}, ${colorScheme}, without violations of the content security policy`, async () => {
        const context = await browser.newContext({ colorScheme });
        const page = await context.newPage();
        const errors: string[] = [];
        page.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
        page.on('pageerror', (error) => errors.push(error.message));
        await page.goto(`http://127.0.0.1:${port}/${path.replace(/md$/, 'html')}`, { timeout: 60_000 });
        const drawn = `document.querySelectorAll('pre.mermaid[data-processed] svg').length === ${count}`;
        await page.waitForFunction(drawn, undefined, { timeout: 60_000 });
        assert.is(await page.locator('svg[aria-roledescription="error"]').count(), 0);
        assert.equal(errors, []);
        await context.close();
      });
    }
  }
}
