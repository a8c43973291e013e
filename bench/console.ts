import type { Browser } from 'playwright-core';
import { readConfig } from '../broker/config.ts';
import { openMigrated } from '../broker/open-store.ts';
import { buildConsole } from '../console/build.ts';
import { openChromium } from '../sandbox/chromium.ts';
import { makeManyAgents } from '../test/many-agents.ts';
import { formatPercentiles, printFigure } from './figures.ts';
import { startTestbed } from './testbed.ts';

const agentCount = 5_000;
const rounds = 10;

/** From an empty browser to a fleet on the screen, and how fast one scrolls through it. */
export async function benchConsole(): Promise<void> {
  await buildConsole();
  const testbed = await startTestbed();
  const browser = await openChromium();
  try {
    const db = await openMigrated(readConfig({ BROKKR_DATABASE_URL: testbed.postgres.url }));
    await makeManyAgents(db, agentCount).finally(() => db.close());
    const times: PageTimes[] = [];
    for (let round = 0; round < rounds; round += 1)
      times.push(await measureOnce(browser, testbed.url, testbed.adminPak));
    const of = (name: keyof PageTimes) => formatPercentiles(times.map((each) => each[name]));
    printFigure('console, first paint', of('firstPaintMs'), 'the form, from an empty cache');
    printFigure(`console, ${agentCount} agents, first rows`, of('firstRowsMs'), 'from "Sign in"');
    printFigure(`console, ${agentCount} agents, all`, of('allMs'), 'from "Sign in"');
    printFigure('console, search', of('searchMs'), 'from the last letter to the rows');
    printFigure('console, to the end of the list', of('endMs'), 'from the key to the last row');
  } finally {
    await browser.close();
    await testbed.close();
  }
}

interface PageTimes {
  readonly firstPaintMs: number;
  readonly firstRowsMs: number;
  readonly allMs: number;
  readonly searchMs: number;
  readonly endMs: number;
}

async function measureOnce(browser: Browser, url: string, pak: string): Promise<PageTimes> {
  const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
  try {
    await page.goto(url);
    const field = page.getByLabel('Key');
    await field.fill(pak);
    const firstPaintMs = Number(
      await page.evaluate(
        `new Promise((settle) => new PerformanceObserver((list) => {
          const paint = list.getEntriesByName('first-contentful-paint')[0];
          if (paint) settle(paint.startTime);
        }).observe({ type: 'paint', buffered: true }))`,
      ),
    );
    const since = async (act: () => Promise<unknown>, ...shown: string[]) => {
      const began = performance.now();
      await act();
      const times: number[] = [];
      for (const condition of shown) {
        await page.evaluate(
          `new Promise((settle) => { const look = () => (${condition}) ? settle() : requestAnimationFrame(look); look(); })`,
        );
        times.push(performance.now() - began);
      }
      return times;
    };
    const rowIs = (name: string) =>
      `[...document.querySelectorAll('.row .name')].some((link) => link.textContent === '${name}')`;
    const [firstRowsMs = 0, allMs = 0] = await since(
      () => field.press('Enter'),
      `document.querySelector('.tbody .row') !== null`,
      `document.querySelector('.sum')?.textContent === '${agentCount.toLocaleString('en')} agents'`,
    );
    const search = page.getByRole('searchbox');
    await search.fill('many-432');
    const [searchMs = 0] = await since(
      () => search.press('1'),
      `${rowIs('many-4321')} && document.querySelectorAll('.tbody .row').length === 1`,
    );
    await search.fill('');
    const first = page.getByRole('link', { name: 'many-0001' });
    await first.focus();
    const [endMs = 0] = await since(() => first.press('End'), rowIs(`many-${agentCount}`));
    return { firstPaintMs, firstRowsMs, allMs, searchMs, endMs };
  } finally {
    await page.close();
  }
}
