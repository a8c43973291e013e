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
export const longTimeoutMs = 60_000;

export interface PageOptions {
  readonly width?: number;
  readonly height?: number;
  readonly colours?: 'light' | 'dark';
  /** Key to sign in with; default the admin's. '' does not sign in. */
  readonly pak?: string;
  /** Path to open; default '/'. */
  readonly path?: string;
}

export interface ConsoleTestbed {
  readonly test: TestBroker;
  readonly browser: Browser;
  /** Opens a page in its own profile and signs in. */
  open(options?: PageOptions): Promise<Page>;
  /** Script errors, console messages and violations of the content security policy of all pages. */
  readonly problems: string[];
  /** Starts agents, each with a simulated cluster, which creates no pods by default. */
  agents(count: number, prefix: string, labels: readonly string[], cluster?: ClusterOptions): Promise<Fleet>;
  close(): Promise<void>;
}

/** Starts a broker that serves the console, and a real browser. */
export async function openConsoleTestbed(): Promise<ConsoleTestbed> {
  await using cleanup = new AsyncDisposableStack();
  await buildConsole();
  const test = await startTestBroker();
  cleanup.defer(() => test.close());
  const dataDir = mkdtempSync(join(tmpdir(), 'brokkr-console-'));
  cleanup.defer(() => rmSync(dataDir, { recursive: true, force: true }));
  const fleets: Fleet[] = [];
  cleanup.defer(async () => void (await Promise.all(fleets.map((fleet) => fleet.close()))));
  const browser = await openChromium();
  cleanup.defer(() => browser.close());
  const owned = cleanup.move();
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
      page.setDefaultTimeout(longTimeoutMs);
      page.on('pageerror', (error) => problems.push(`${error}`));
      page.on('console', (message) => {
        // The browser logs refused calls, which are not errors of the page.
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

/** Fills in the sign-in form. */
export async function signIn(page: Page, pak: string): Promise<void> {
  await page.getByLabel('Key').fill(pak);
  await page.getByRole('button', { name: 'Sign in' }).click();
}

/** Navigates as a link would, because a reload would lose the key, and waits for the view's title. */
export async function goTo(page: Page, path: string, title: string): Promise<void> {
  const target = JSON.stringify(path);
  await page.evaluate(`history.pushState(null, '', ${target}); dispatchEvent(new PopStateEvent('popstate'))`);
  await page.getByRole('heading', { level: 1, name: title, exact: true }).waitFor();
}

/** Asserts that the page is not wider than the screen. */
export async function assertFitsScreen(page: Page): Promise<void> {
  const [width, screen] = (await page.evaluate('[document.documentElement.scrollWidth, innerWidth]')) as [
    number,
    number,
  ];
  assert.ok(width <= screen, `${page.url()} is ${width} px wide on a screen of ${screen} px`);
}

/** Returns what axe reports against WCAG 2.2 AA and its best practices, one line per problem. */
export async function accessibilityProblems(page: Page): Promise<string[]> {
  const options = { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] };
  await page.evaluate(axe.source);
  const { violations } = (await page.evaluate(`axe.run(document, ${JSON.stringify(options)})`)) as axe.AxeResults;
  return violations.flatMap(({ id, nodes }) =>
    nodes.map(({ html, failureSummary }) => `${id}: ${html} ${failureSummary}`),
  );
}
