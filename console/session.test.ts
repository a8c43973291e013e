import type { Page } from 'playwright-core';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { eventually } from '../test/broker.ts';
import { goTo, longTimeoutMs, openConsoleTestbed, signIn } from '../test/console-testbed.ts';
import { needs } from '../test/runner/needs.ts';

const session = suite('signing in');
if (needs('chromium')) await describe();
session.run();

async function describe(): Promise<void> {
  const testbed = await openConsoleTestbed();
  const { test } = testbed;
  const { admin } = test.client();
  session.after.each(async () => {
    await Promise.all(testbed.browser.contexts().map((context) => context.close()));
    assert.equal(testbed.problems, []);
  });
  session.after(() => testbed.close());

  const title = (page: Page, name: string) => page.getByRole('heading', { level: 1, name, exact: true }).waitFor();
  const makeAdmin = (name: string, more = {}) => admin.createAdminPak({ name, ...more });

  session('an admin sees the fleet, and the key is stored nowhere', async () => {
    const page = await testbed.open();
    await title(page, 'Fleet');
    const kept = await page.evaluate(
      `JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie, location.href, history.state, document.documentElement.outerHTML])`,
    );
    assert.not.match(String(kept), test.adminPak.split('_')[2] ?? '');
    assert.equal(await page.context().cookies(), []);
    assert.is(await page.evaluate('localStorage.length + sessionStorage.length'), 0);
  });

  session('a reload forgets the key and comes back to the same view', async () => {
    const page = await testbed.open();
    await goTo(page, '/audit?since=24h', 'Audit');
    await page.reload();
    await signIn(page, test.adminPak);
    await title(page, 'Audit');
    assert.match(page.url(), '/audit?since=24h');
  });

  session('wrong keys are refused, and another try works', async () => {
    const page = await testbed.open({ pak: 'brokkr_adAAAAAAAA_wrong' });
    await page.getByRole('alert').filter({ hasText: 'mistyped, revoked or expired' }).waitFor();
    await signIn(page, test.adminPak);
    await title(page, 'Fleet');
  });

  session('an agent’s key is refused with an explanation', async () => {
    const { pak } = await admin.createAgent({ name: 'signs-in' });
    const page = await testbed.open({ pak });
    await page.getByRole('alert').filter({ hasText: 'This key belongs to an agent' }).waitFor();
  });

  session('a view whose script cannot be loaded shows an error and keeps the frame around it', async () => {
    const page = await testbed.open({ pak: '' });
    let away = true;
    await page.route(/assets\/audit-.*\.js/, (route) => (away ? route.abort() : route.continue()));
    await signIn(page, test.adminPak);
    await title(page, 'Fleet');
    const menu = (name: string) => page.getByRole('navigation').getByRole('link', { name }).click();
    await menu('Audit');
    await page.getByRole('alert').filter({ hasText: 'could not be loaded' }).waitFor();
    await menu('Stacks');
    await title(page, 'Stacks');
    away = false;
    await menu('Audit');
    await page.getByRole('button', { name: 'Reload' }).click();
    await signIn(page, test.adminPak);
    await title(page, 'Audit');
    // React logs the failure.
    assert.ok(
      testbed.problems.splice(0).every((problem) => problem.includes('Failed to fetch dynamically imported module')),
    );
  });

  session('other views are preloaded, and can be opened while the broker is unavailable', async () => {
    const page = await testbed.open();
    // The browser lists a resource once it is loaded completely.
    const come = `performance.getEntriesByType('resource').some(({ name }) => name.includes('/assets/audit-'))`;
    await eventually(() => page.evaluate(come), longTimeoutMs);
    await page.route(/assets\//, (route) => route.abort());
    await page.getByRole('navigation').getByRole('link', { name: 'Audit' }).click();
    await title(page, 'Audit');
  });

  session('a generator sees its own stacks but no admin views', async () => {
    const { pak } = await admin.createGenerator({ name: 'shop' });
    const page = await testbed.open({ pak });
    await title(page, 'Stacks');
    const links = await page.getByRole('navigation', { name: 'Main' }).getByRole('link').allTextContents();
    assert.equal(links, ['Agents', 'Stacks', 'Explain', 'Keys']);
    await goTo(page, '/audit', 'No access');
    await goTo(page, '/keys', 'Keys');
    assert.is(await page.getByRole('table').count(), 0);
  });

  session('a read-only admin sees everything and cannot change anything', async () => {
    await test.client().broker.createStack({ name: 'looked-at' });
    const { pak } = await makeAdmin('looker', { readOnly: true });
    const page = await testbed.open({ pak });
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

  session('revoking a key ends the session with a message', async () => {
    const { pak, info } = await makeAdmin('leaver');
    const page = await testbed.open({ pak });
    await title(page, 'Fleet');
    await admin.revokePak({ pak: info?.shortToken ?? '' });
    await page.getByText('Your key is no longer accepted').waitFor({ timeout: longTimeoutMs });
    assert.is(await page.getByLabel('Key').inputValue(), '');
  });

  session('an expired key ends the session with a message', async () => {
    const seconds = BigInt(Math.floor(Date.now() / 1_000) + 3_600);
    const { pak } = await makeAdmin('short-lived', { expireTime: { seconds } });
    const page = await testbed.open({ pak: '' });
    await page.clock.install();
    await signIn(page, pak);
    await title(page, 'Fleet');
    await page.clock.fastForward(3_601_000);
    await page.getByText('Your key has expired').waitFor();
  });

  session('signing out shows the sign-in form only', async () => {
    const page = await testbed.open();
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByText('You are signed out.').waitFor();
    assert.is(await page.getByRole('navigation').count(), 0);
  });
}
