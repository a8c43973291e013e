import type { Browser } from 'playwright-core';
import { readConfig } from '../broker/config.ts';
import { openMigrated } from '../broker/open-store.ts';
import { buildConsole } from '../console/build.ts';
import { openChromium } from '../sandbox/chromium.ts';
import { insertManyAgents } from '../test/many-agents.ts';
import { formatPercentiles, printFigure } from './figures.ts';
import { startTestbed } from './testbed.ts';

const agentCount = 5_000;
const rounds = 10;

/** Measures the console from an empty browser cache to a displayed fleet, and searching and scrolling in it. */
export async function benchConsole(): Promise<void> {
  await buildConsole();
  const testbed = await startTestbed();
  const browser = await openChromium();
  try {
    const db = await openMigrated(readConfig({ BROKKR_DATABASE_URL: testbed.postgres.url }));
    await insertManyAgents(db, agentCount).finally(() => db.close());
    const times: PageTimes[] = [];
    for (let round = 0; round < rounds; round += 1)
      times.push(await measureOnce(browser, testbed.url, testbed.adminPak));
    const percentiles = (name: keyof PageTimes) => formatPercentiles(times.map((roundTimes) => roundTimes[name]));
    printFigure('console, first paint', percentiles('firstPaintMs'), 'sign-in form, empty cache');
    printFigure(`console, ${agentCount} agents, first rows`, percentiles('firstRowsMs'), 'from "Sign in"');
    printFigure(`console, ${agentCount} agents, all`, percentiles('allMs'), 'from "Sign in"');
    printFigure('console, search', percentiles('searchMs'), 'from the last keystroke to the rows');
    printFigure('console, to the end of the list', percentiles('endMs'), 'from the keystroke to the last row');
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
    const measureUntil = async (act: () => Promise<unknown>, ...conditions: string[]) => {
      const startedAt = performance.now();
      await act();
      const times: number[] = [];
      for (const condition of conditions) {
        await page.evaluate(
          `new Promise((settle) => { const check = () => (${condition}) ? settle() : requestAnimationFrame(check); check(); })`,
        );
        times.push(performance.now() - startedAt);
      }
      return times;
    };
    const rowExists = (name: string) =>
      `[...document.querySelectorAll('.row .name')].some((link) => link.textContent === '${name}')`;
    const [firstRowsMs = 0, allMs = 0] = await measureUntil(
      () => field.press('Enter'),
      `document.querySelector('.tbody .row') !== null`,
      `document.querySelector('.sum')?.textContent === '${agentCount.toLocaleString('en')} agents'`,
    );
    const search = page.getByRole('searchbox');
    await search.fill('many-432');
    const [searchMs = 0] = await measureUntil(
      () => search.press('1'),
      `${rowExists('many-4321')} && document.querySelectorAll('.tbody .row').length === 1`,
    );
    await search.fill('');
    const first = page.getByRole('link', { name: 'many-0001' });
    await first.focus();
    const [endMs = 0] = await measureUntil(() => first.press('End'), rowExists(`many-${agentCount}`));
    return { firstPaintMs, firstRowsMs, allMs, searchMs, endMs };
  } finally {
    await page.close();
  }
}
