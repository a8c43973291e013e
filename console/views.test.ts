// time limit: 8 min
import type { Page } from 'playwright-core';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { openMigrated } from '../broker/open-store.ts';
import { configMap } from '../test/agents.ts';
import { eventually } from '../test/broker.ts';
import { barriers, fits, goTo, openConsoleStage, patienceMs } from '../test/console-stage.ts';
import { makeManyAgents } from '../test/many-agents.ts';
import { needs } from '../test/runner/needs.ts';

const views = suite("the console's views");
if (needs('chromium')) await describe();
views.run();

async function describe(): Promise<void> {
  const stage = await openConsoleStage();
  const { broker, admin } = stage.test.client();
  await stage.agents(1, 'eu', ['demo', 'prod']);
  await broker.createStack({ name: 'web', labels: ['demo'] });
  for (const value of ['one', 'two'])
    await broker.submitDeployment({ stack: 'web', manifest: configMap('web', value), message: value });
  await admin.createGenerator({ name: 'shop', description: 'a tenant', rules: { allowNamespaces: ['shop-*'] } });
  await admin.createAgent({ name: 'idle', labels: ['demo'], generators: ['shop'] });

  views.after.each(async () => {
    await Promise.all(stage.browser.contexts().map((context) => context.close()));
    assert.equal(stage.problems, []);
  });
  views.after(() => stage.close());

  /** Every view, with something that is there when it has all it shows. */
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
    ['/stacks/system/web/settings', 'system/web', 'applied again'],
    ['/stacks/system/web/deploy', 'Deploy system/web', 'Start from revision 2'],
    ['/explain', 'Why is this not applied?', 'Name a stack and an agent'],
    ['/explain?stack=system/web&agent=idle', 'Why is this not applied?', 'never started'],
    ['/generators', 'Generators', 'a tenant'],
    ['/generators/shop', 'shop', 'shop-*'],
    ['/audit', 'Audit', 'CreateStack'],
    ['/keys', 'Keys', 'You are'],
    ['/nowhere', 'Not found', 'There is no such view'],
  ];
  const look = async (page: Page, [path, title, text]: (typeof all)[number]) => {
    await goTo(page, path, title);
    await page.locator('main').getByText(text).first().waitFor({ state: 'attached' });
  };

  for (const colours of ['light', 'dark'] as const)
    views(`nothing in a view is out of reach for anybody, in ${colours} colours`, async () => {
      const page = await stage.open({ colours, pak: '' });
      assert.equal(await barriers(page), [], 'signing in');
      await page.getByLabel('Key').fill(stage.test.adminPak);
      await page.getByRole('button', { name: 'Sign in' }).click();
      for (const view of all) {
        await look(page, view);
        assert.equal(await barriers(page), [], view[0]);
      }
      await goTo(page, '/fleet', 'Fleet');
      await page.getByRole('button', { name: 'New agent' }).click();
      assert.equal(await barriers(page), [], 'a dialog');
    });

  views('every view fits a screen of 390 px, and its links are there', async () => {
    const page = await stage.open({ width: 390 });
    for (const view of all) {
      await look(page, view);
      await fits(page);
    }
    await page.getByRole('navigation', { name: 'Main' }).getByRole('link', { name: 'Stacks' }).click();
    await page.getByRole('table', { name: 'Stacks' }).getByRole('link', { name: 'system/web' }).click();
    await page.getByRole('heading', { level: 1, name: 'system/web' }).waitFor();
    await page.getByRole('button', { name: 'Labels' }).click();
    await fits(page);
  });

  views('the keyboard alone is enough', async () => {
    const page = await stage.open({ pak: '' });
    await page.locator('input:focus').waitFor();
    await page.keyboard.type(stage.test.adminPak);
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
    assert.is(outline, 'solid', 'the focus is seen');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { level: 1, name: 'idle' }).waitFor();
    assert.is(await page.evaluate('document.activeElement.id'), 'main', 'the focus goes to the new view');
    const pause = page.getByRole('button', { name: 'Pause' });
    await pause.focus();
    await page.keyboard.press('Enter');
    await page.getByRole('dialog').waitFor();
    await page.keyboard.press('Escape');
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    assert.is(await focused(page), 'Pause', 'the focus is back where it was');
  });

  views('a stack or an agent is a few letters away', async () => {
    const page = await stage.open();
    await page.getByRole('link', { name: 'eu-1' }).waitFor();
    await page.keyboard.press('Control+k');
    await page.locator('input:focus').waitFor();
    await page.keyboard.type('we');
    await page.getByRole('option', { name: 'system/web' }).and(page.locator('[aria-selected=true]')).waitFor();
    assert.equal(await barriers(page), []);
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { level: 1, name: 'system/web' }).waitFor();
    await page.keyboard.press('Control+k');
    await page.getByRole('option', { name: 'idle' }).click();
    await page.getByRole('heading', { level: 1, name: 'idle' }).waitFor();
  });

  views('the address says what is looked at, and Back goes back', async () => {
    const page = await stage.open();
    await page.getByRole('button', { name: 'never started' }).click();
    await page.getByText('1 agent of 2').waitFor();
    assert.match(page.url(), 'state=never+started');
    await page.getByRole('link', { name: 'idle' }).click();
    await page.getByRole('heading', { level: 1, name: 'idle' }).waitFor();
    await page.goBack();
    await page.getByText('1 agent of 2').waitFor();
  });

  views('the fleet shows at once what happens to it', async () => {
    const page = await stage.open();
    const row = page.getByRole('row').filter({ hasText: 'eu-1' });
    await row.filter({ hasText: 'online' }).waitFor();
    await admin.pauseAgent({ agent: 'eu-1' });
    await row.filter({ hasText: 'paused' }).waitFor();
    await admin.resumeAgent({ agent: 'eu-1' });
    await row.filter({ hasText: 'online' }).waitFor();
  });

  views('the stream is taken up again after the broker was away', async () => {
    const page = await stage.open();
    const status = page.getByRole('status').filter({ hasText: /^(live|reconnecting|connecting)$/ });
    await status.filter({ hasText: 'live' }).waitFor();
    await stage.test.restart();
    await admin.createAgent({ name: 'late' });
    await page.getByRole('link', { name: 'late' }).waitFor();
    await status.filter({ hasText: 'live' }).waitFor();
    await admin.deleteAgent({ agent: 'late', orphan: true });
  });

  views('the record is filtered and verified', async () => {
    const page = await stage.open({ path: '/audit' });
    await page.getByRole('textbox', { name: 'Action' }).fill('CreateGenerator');
    const rows = page.getByRole('table', { name: 'Audit entries' }).getByRole('row');
    await eventually(async () => (await rows.count()) === 2, patienceMs);
    await page.getByRole('button', { name: 'Verify the record' }).click();
    await page.getByText(/^intact/).waitFor();
  });

  views('5,000 agents are listed, scrolled, searched and grouped', async () => {
    const db = await openMigrated(stage.test.config);
    await makeManyAgents(db, 5_000).finally(() => db.close());
    const page = await stage.open();
    await page.getByText('5,002 agents').waitFor();
    assert.ok((await page.getByRole('row').count()) < 100, 'only the rows in sight are there');
    await page.evaluate('scrollTo(0, document.body.scrollHeight)');
    await page.getByRole('link', { name: 'many-5000' }).waitFor();
    await page.evaluate('scrollTo(0, 0)');
    await page.getByRole('link', { name: 'eu-1' }).focus();
    await page.keyboard.press('End');
    await eventually(async () => (await focused(page)) === 'many-5000', patienceMs);
    await page.keyboard.press('Home');
    await eventually(async () => (await focused(page)) === 'eu-1', patienceMs);
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
