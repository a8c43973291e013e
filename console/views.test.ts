// time limit: 8 min
import type { Page } from 'playwright-core';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { openMigrated } from '../broker/open-store.ts';
import { configMap } from '../test/agents.ts';
import { eventually } from '../test/broker.ts';
import {
  accessibilityProblems,
  assertFitsScreen,
  goTo,
  longTimeoutMs,
  openConsoleTestbed,
} from '../test/console-testbed.ts';
import { insertManyAgents } from '../test/many-agents.ts';
import { needs } from '../test/runner/needs.ts';

const views = suite("the console's views");
if (needs('chromium')) await describe();
views.run();

async function describe(): Promise<void> {
  const testbed = await openConsoleTestbed();
  const { broker, admin } = testbed.test.client();
  await testbed.agents(1, 'eu', ['demo', 'prod']);
  await broker.createStack({ name: 'web', labels: ['demo'] });
  for (const value of ['one', 'two'])
    await broker.submitDeployment({ stack: 'web', manifest: configMap('web', value), message: value });
  await admin.createGenerator({ name: 'shop', description: 'a tenant', rules: { allowNamespaces: ['shop-*'] } });
  await admin.createAgent({ name: 'idle', labels: ['demo'], generators: ['shop'] });

  views.after.each(async () => {
    await Promise.all(testbed.browser.contexts().map((context) => context.close()));
    assert.equal(testbed.problems, []);
  });
  views.after(() => testbed.close());

  /** Every view, with a text that is shown once it has loaded completely. */
  const all: readonly (readonly [path: string, title: string, text: string])[] = [
    ['/fleet', 'Fleet', 'never started'],
    ['/fleet?group=label', 'Fleet', 'prod'],
    ['/agents/eu-1', 'eu-1', 'system/web'],
    ['/stacks', 'Stacks', 'web'],
    ['/stacks/system/web', 'system/web', 'label demo'],
    ['/stacks/system/web/objects', 'system/web', 'ConfigMap'],
    ['/stacks/system/web/revisions', 'system/web', 'Side by side'],
    ['/stacks/system/web/events', 'system/web', 'revision 2 on'],
    ['/stacks/system/web/logs', 'system/web', 'brokkr.io/stream-logs'],
    ['/stacks/system/web/settings', 'system/web', 'repaired'],
    ['/stacks/system/web/deploy', 'Deploy system/web', 'Start from revision 2'],
    ['/explain', 'Explain a placement', 'Enter a stack and an agent'],
    ['/explain?stack=system/web&agent=idle', 'Explain a placement', 'never started'],
    ['/generators', 'Generators', 'a tenant'],
    ['/generators/shop', 'shop', 'shop-*'],
    ['/audit', 'Audit', 'CreateStack'],
    ['/keys', 'Keys', 'Signed in as'],
    ['/nowhere', 'Not found', 'This page does not exist'],
  ];
  const look = async (page: Page, [path, title, text]: (typeof all)[number]) => {
    await goTo(page, path, title);
    await page.locator('main').getByText(text).first().waitFor({ state: 'attached' });
  };

  for (const colours of ['light', 'dark'] as const)
    views(`every view is accessible, in ${colours} colours`, async () => {
      const page = await testbed.open({ colours, pak: '' });
      assert.equal(await accessibilityProblems(page), [], 'signing in');
      await page.getByLabel('Key').fill(testbed.test.adminPak);
      await page.getByRole('button', { name: 'Sign in' }).click();
      for (const view of all) {
        await look(page, view);
        assert.equal(await accessibilityProblems(page), [], view[0]);
      }
      await goTo(page, '/fleet', 'Fleet');
      await page.getByRole('button', { name: 'New agent' }).click();
      assert.equal(await accessibilityProblems(page), [], 'a dialog');
    });

  views('the fleet shows a problem once, however many agents have it', async () => {
    const page = await testbed.open();
    const problems = page.getByRole('region', { name: 'Problems' });
    const problem = problems.getByRole('group').filter({ hasText: 'the agent has never started' });
    await problem.getByText('1 of 2 agents').waitFor();
    await problem.getByText('system/web', { exact: true }).first().click();
    await problem.getByRole('link', { name: 'idle' }).click();
    await page.getByRole('heading', { name: 'Explain' }).waitFor();
    assert.match(page.url(), /stack=system%2Fweb&agent=idle/);
  });

  views('every view fits a screen of 390 px, with working links', async () => {
    const page = await testbed.open({ width: 390 });
    for (const view of all) {
      await look(page, view);
      await assertFitsScreen(page);
    }
    await page.getByRole('navigation', { name: 'Main' }).getByRole('link', { name: 'Stacks' }).click();
    await page.getByRole('table', { name: 'Stacks' }).getByRole('link', { name: 'system/web' }).click();
    await page.getByRole('heading', { level: 1, name: 'system/web' }).waitFor();
    await page.getByRole('button', { name: 'Labels' }).click();
    await assertFitsScreen(page);
  });

  views('everything can be done by keyboard', async () => {
    const page = await testbed.open({ pak: '' });
    await page.locator('input:focus').waitFor();
    await page.keyboard.type(testbed.test.adminPak);
    await page.keyboard.press('Enter');
    await page.getByRole('link', { name: 'idle' }).waitFor();
    await page.keyboard.press('Tab');
    assert.is(await focused(page), 'Skip to the content');
    await page.keyboard.press('Enter');
    await page.keyboard.press('/');
    await page.locator('input:focus').waitFor();
    await page.keyboard.type('id');
    await page.getByRole('link', { name: 'eu-1' }).waitFor({ state: 'detached' });
    for (let presses = 0; presses < 12 && (await focused(page)) !== 'idle'; presses += 1)
      await page.keyboard.press('Tab');
    assert.is(await focused(page), 'idle');
    const outline = await page.evaluate('getComputedStyle(document.activeElement).outlineStyle');
    assert.is(outline, 'solid', 'the focus is visible');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { level: 1, name: 'idle' }).waitFor();
    assert.is(await page.evaluate('document.activeElement.id'), 'main', 'the focus moves to the new view');
    const pause = page.getByRole('button', { name: 'Pause' });
    await pause.focus();
    await page.keyboard.press('Enter');
    await page.getByRole('dialog').waitFor();
    await page.keyboard.press('Escape');
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    assert.is(await focused(page), 'Pause', 'the focus returns to where it was');
  });

  views('the command palette opens a stack or an agent by a few letters', async () => {
    const page = await testbed.open();
    await page.getByRole('link', { name: 'eu-1' }).waitFor();
    await page.keyboard.press('Control+k');
    await page.locator('input:focus').waitFor();
    await page.keyboard.type('we');
    await page.getByRole('option', { name: 'system/web' }).and(page.locator('[aria-selected=true]')).waitFor();
    assert.equal(await accessibilityProblems(page), []);
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { level: 1, name: 'system/web' }).waitFor();
    await page.keyboard.press('Control+k');
    await page.getByRole('option', { name: 'idle' }).click();
    await page.getByRole('heading', { level: 1, name: 'idle' }).waitFor();
  });

  views('the URL holds the filter, and Back returns to it', async () => {
    const page = await testbed.open();
    await page.getByRole('button', { name: 'never started' }).click();
    await page.getByText('1 agent of 2').waitFor();
    assert.match(page.url(), 'state=never+started');
    await page.getByRole('link', { name: 'idle' }).click();
    await page.getByRole('heading', { level: 1, name: 'idle' }).waitFor();
    await page.goBack();
    await page.getByText('1 agent of 2').waitFor();
  });

  views('the fleet shows changes live', async () => {
    const page = await testbed.open();
    const row = page.getByRole('row').filter({ hasText: 'eu-1' });
    await row.filter({ hasText: 'online' }).waitFor();
    await admin.pauseAgent({ agent: 'eu-1' });
    await row.filter({ hasText: 'paused' }).waitFor();
    await admin.resumeAgent({ agent: 'eu-1' });
    await row.filter({ hasText: 'online' }).waitFor();
  });

  views('the stream resumes after a restart of the broker', async () => {
    const page = await testbed.open();
    const status = page.getByRole('status').filter({ hasText: /^(live|reconnecting|connecting)$/ });
    await status.filter({ hasText: 'live' }).waitFor();
    await testbed.test.restart();
    await admin.createAgent({ name: 'late' });
    await page.getByRole('link', { name: 'late' }).waitFor();
    await status.filter({ hasText: 'live' }).waitFor();
    await admin.deleteAgent({ agent: 'late', orphan: true });
  });

  views('the audit log is filtered and verified', async () => {
    const page = await testbed.open({ path: '/audit' });
    await page.getByRole('textbox', { name: 'Action' }).fill('CreateGenerator');
    const rows = page.getByRole('table', { name: 'Audit entries' }).getByRole('row');
    await eventually(async () => (await rows.count()) === 2, longTimeoutMs);
    await page.getByRole('button', { name: 'Verify the audit log' }).click();
    await page.getByText(/^intact/).waitFor();
  });

  views('5,000 agents are listed, scrolled, searched and grouped', async () => {
    const db = await openMigrated(testbed.test.config);
    await insertManyAgents(db, 5_000).finally(() => db.close());
    const page = await testbed.open();
    await page.getByText('5,002 agents').waitFor();
    assert.ok((await page.getByRole('row').count()) < 100, 'only the visible rows are rendered');
    await page.evaluate('scrollTo(0, document.body.scrollHeight)');
    await page.getByRole('link', { name: 'many-5000' }).waitFor();
    await page.evaluate('scrollTo(0, 0)');
    await page.getByRole('link', { name: 'eu-1' }).focus();
    await page.keyboard.press('End');
    await eventually(async () => (await focused(page)) === 'many-5000', longTimeoutMs);
    await page.keyboard.press('Home');
    await eventually(async () => (await focused(page)) === 'eu-1', longTimeoutMs);
    await page.getByRole('searchbox').fill('many-0123');
    await page.getByText('1 agent of 5,002').waitFor();
    await page.getByRole('searchbox').fill('');
    await page.getByRole('combobox', { name: 'Group' }).selectOption('By label');
    await page.getByRole('button', { name: 'dev' }).click();
    await page.getByRole('button', { name: 'zone-9' }).waitFor({ state: 'detached' });
    await page.getByRole('combobox', { name: 'State' }).selectOption('offline');
    await page.getByText('100 agents of 5,002').waitFor();
  });
}

async function focused(page: Page): Promise<unknown> {
  return page.evaluate('document.activeElement.textContent.trim()');
}
