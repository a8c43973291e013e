import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import axe from 'axe-core';
import pino from 'pino';
import type { Browser, Page } from 'playwright-core';
import * as assert from 'uvu/assert';
import { buildConsole } from '../console/build.ts';
import { openChromium } from '../sandbox/chromium.ts';
import type { ClusterOptions } from '../sandbox/cluster/cluster.ts';
import { type Fleet, startFleet } from '../sandbox/fleet.ts';
import { startTestBroker, type TestBroker } from './broker.ts';

/** Longer than any step takes on a busy machine. */
export const patienceMs = 60_000;

export interface PageWish {
  readonly width?: number;
  readonly height?: number;
  readonly colours?: 'light' | 'dark';
  /** Key to sign in with; default the admin's. '' leaves the form as it is. */
  readonly pak?: string;
  /** Path to open; default '/'. */
  readonly path?: string;
}

export interface ConsoleStage {
  readonly test: TestBroker;
  readonly browser: Browser;
  /** Opens a page in a profile of its own and signs in. */
  open(wish?: PageWish): Promise<Page>;
  /**
   * Unexpected messages of the pages: errors of scripts, console messages, and violations of the content security
   * policy.
   */
  readonly problems: string[];
  /** Starts agents, each with a simulated cluster, which by default creates no pods. */
  agents(count: number, prefix: string, labels: readonly string[], cluster?: ClusterOptions): Promise<Fleet>;
  close(): Promise<void>;
}

/** Starts a broker that serves the console, and a real browser. */
export async function openConsoleStage(): Promise<ConsoleStage> {
  await using failing = new AsyncDisposableStack();
  await buildConsole();
  const test = await startTestBroker();
  failing.defer(() => test.close());
  const dataDir = mkdtempSync(join(tmpdir(), 'brokkr-console-'));
  failing.defer(() => rmSync(dataDir, { recursive: true, force: true }));
  const fleets: Fleet[] = [];
  failing.defer(async () => void (await Promise.all(fleets.map((fleet) => fleet.close()))));
  const browser = await openChromium();
  failing.defer(() => browser.close());
  const owned = failing.move();
  const problems: string[] = [];
  return {
    test,
    browser,
    problems,
    async open({ width = 1280, height = 800, colours = 'light', pak = test.adminPak, path = '/' } = {}) {
      const page = await browser.newPage({
        viewport: { width, height },
        colorScheme: colours,
        reducedMotion: 'reduce',
      });
      page.setDefaultTimeout(patienceMs);
      page.on('pageerror', (error) => problems.push(`${error}`));
      page.on('console', (message) => {
        // The browser also logs a refused call, which is not the page's fault.
        if (message.type() !== 'error' && message.type() !== 'warning') return;
        if (!message.text().startsWith('Failed to load resource')) problems.push(message.text());
      });
      await page.goto(test.url + path);
      if (pak !== '') await signIn(page, pak);
      return page;
    },
    async agents(count, prefix, labels, cluster = {}) {
      const fleet = await startFleet({
        brokerUrl: test.url,
        adminPak: test.adminPak,
        count,
        prefix,
        labels,
        cluster,
        dataDir: join(dataDir, prefix),
        log: pino({ level: 'silent' }),
      });
      fleets.push(fleet);
      return fleet;
    },
    close: () => owned.disposeAsync(),
  };
}

/** Fills in the form. */
export async function signIn(page: Page, pak: string): Promise<void> {
  await page.getByLabel('Key').fill(pak);
  await page.getByRole('button', { name: 'Sign in' }).click();
}

/** Navigates as a link would, since a reload forgets the key, and waits for the view's title. */
export async function goTo(page: Page, path: string, title: string): Promise<void> {
  const target = JSON.stringify(path);
  await page.evaluate(`history.pushState(null, '', ${target}); dispatchEvent(new PopStateEvent('popstate'))`);
  await page.getByRole('heading', { level: 1, name: title, exact: true }).waitFor();
}

/** Asserts that the page is not wider than the screen. */
export async function fits(page: Page): Promise<void> {
  const [width, screen] = (await page.evaluate('[document.documentElement.scrollWidth, innerWidth]')) as [
    number,
    number,
  ];
  assert.ok(width <= screen, `${page.url()} is ${width} px wide on a screen of ${screen} px`);
}

/** Returns the violations that axe finds of WCAG 2.2 AA and its own best practices, one line each. */
export async function barriers(page: Page): Promise<string[]> {
  const options = { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] };
  await page.evaluate(axe.source);
  const { violations } = (await page.evaluate(`axe.run(document, ${JSON.stringify(options)})`)) as axe.AxeResults;
  return violations.flatMap(({ id, nodes }) =>
    nodes.map(({ html, failureSummary }) => `${id}: ${html} ${failureSummary}`),
  );
}
