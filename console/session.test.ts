import type { Page } from 'playwright-core';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { eventually } from '../test/broker.ts';
import { goTo, openConsoleStage, patienceMs, signIn } from '../test/console-stage.ts';
import { needs } from '../test/runner/needs.ts';

const session = suite('signing in');
if (needs('chromium')) await describe();
session.run();

async function describe(): Promise<void> {
  const stage = await openConsoleStage();
  const { test } = stage;
  const { admin } = test.client();
  session.after.each(async () => {
    await Promise.all(stage.browser.contexts().map((context) => context.close()));
    assert.equal(stage.problems, []);
  });
  session.after(() => stage.close());

  const title = (page: Page, name: string) => page.getByRole('heading', { level: 1, name, exact: true }).waitFor();
  const makeAdmin = (name: string, more = {}) => admin.createAdminPak({ name, ...more });

  session('an admin sees the fleet, and the key is stored nowhere', async () => {
    const page = await stage.open();
    await title(page, 'Fleet');
    const kept = await page.evaluate(
      `JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie, location.href, history.state, document.documentElement.outerHTML])`,
    );
    assert.not.match(String(kept), test.adminPak.split('_')[2] ?? '');
    assert.equal(await page.context().cookies(), []);
    assert.is(await page.evaluate('localStorage.length + sessionStorage.length'), 0);
  });

  session('a reload forgets the key and comes back to the same view', async () => {
    const page = await stage.open();
    await goTo(page, '/audit?since=24h', 'Audit');
    await page.reload();
    await signIn(page, test.adminPak);
    await title(page, 'Audit');
    assert.match(page.url(), '/audit?since=24h');
  });

  session('wrong keys are refused, and another try works', async () => {
    const page = await stage.open({ pak: 'brokkr_adAAAAAAAA_wrong' });
    await page.getByRole('alert').filter({ hasText: 'mistyped, revoked or expired' }).waitFor();
    await signIn(page, test.adminPak);
    await title(page, 'Fleet');
  });

  session('an agent’s key is refused kindly', async () => {
    const { pak } = await admin.createAgent({ name: 'signs-in' });
    const page = await stage.open({ pak });
    await page.getByRole('alert').filter({ hasText: 'This is an agent’s key' }).waitFor();
  });

  session('a view whose script does not come says so, and what is around it stays', async () => {
    const page = await stage.open({ pak: '' });
    let away = true;
    await page.route(/assets\/audit-.*\.js/, (route) => (away ? route.abort() : route.continue()));
    await signIn(page, test.adminPak);
    await title(page, 'Fleet');
    const menu = (name: string) => page.getByRole('navigation').getByRole('link', { name }).click();
    await menu('Audit');
    await page.getByRole('alert').filter({ hasText: 'could not be shown' }).waitFor();
    await menu('Stacks');
    await title(page, 'Stacks');
    away = false;
    await menu('Audit');
    await page.getByRole('button', { name: 'Load anew' }).click();
    await signIn(page, test.adminPak);
    await title(page, 'Audit');
    // React tells of what failed.
    assert.ok(
      stage.problems.splice(0).every((problem) => problem.includes('Failed to fetch dynamically imported module')),
    );
  });

  session('what was not looked at yet is loaded after a moment, and there while the broker is away', async () => {
    const page = await stage.open();
    // Its name in the list of what was loaded is there once it has come as a whole.
    const come = `performance.getEntriesByType('resource').some(({ name }) => name.includes('/assets/audit-'))`;
    await eventually(() => page.evaluate(come), patienceMs);
    await page.route(/assets\//, (route) => route.abort());
    await page.getByRole('navigation').getByRole('link', { name: 'Audit' }).click();
    await title(page, 'Audit');
  });

  session('a generator sees its own, and not what is the admins’', async () => {
    const { pak } = await admin.createGenerator({ name: 'shop' });
    const page = await stage.open({ pak });
    await title(page, 'Stacks');
    const links = await page.getByRole('navigation', { name: 'Main' }).getByRole('link').allTextContents();
    assert.equal(links, ['Agents', 'Stacks', 'Explain', 'Keys']);
    await goTo(page, '/audit', 'Not for you');
    await goTo(page, '/keys', 'Keys');
    assert.is(await page.getByRole('table').count(), 0);
  });

  session('a read-only admin sees everything and can change nothing', async () => {
    await test.client().broker.createStack({ name: 'looked-at' });
    const { pak } = await makeAdmin('looker', { readOnly: true });
    const page = await stage.open({ pak });
    await title(page, 'Fleet');
    for (const [path, name] of [
      ['/fleet', 'Fleet'],
      ['/stacks', 'Stacks'],
      ['/stacks/system/looked-at', 'system/looked-at'],
      ['/generators', 'Generators'],
    ] as const) {
      await goTo(page, path, name);
      await page.getByText('Loading…').waitFor({ state: 'detached' });
      assert.is(await page.getByRole('button', { name: /^(New|Delete|Labels|Register)/ }).count(), 0, path);
      assert.is(await page.getByRole('link', { name: 'Deploy' }).count(), 0, path);
    }
  });

  session('a key that is revoked ends the session, and says so', async () => {
    const { pak, info } = await makeAdmin('leaver');
    const page = await stage.open({ pak });
    await title(page, 'Fleet');
    await admin.revokePak({ pak: info?.shortToken ?? '' });
    await page.getByText('Your key is not accepted any more').waitFor({ timeout: patienceMs });
    assert.is(await page.getByLabel('Key').inputValue(), '');
  });

  session('a key that expires ends the session, and says so', async () => {
    const seconds = BigInt(Math.floor(Date.now() / 1_000) + 3_600);
    const { pak } = await makeAdmin('short-lived', { expireTime: { seconds } });
    const page = await stage.open({ pak: '' });
    await page.clock.install();
    await signIn(page, pak);
    await title(page, 'Fleet');
    await page.clock.fastForward(3_601_000);
    await page.getByText('Your key has expired').waitFor();
  });

  session('signing out leaves nothing behind', async () => {
    const page = await stage.open();
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByText('You are signed out.').waitFor();
    assert.is(await page.getByRole('navigation').count(), 0);
  });
}
