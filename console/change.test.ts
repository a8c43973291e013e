import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ConflictPolicy, DriftPolicy, OnDelete } from '../gen/brokkr/v1/stack_pb.ts';
import { accessibilityProblems, openConsoleTestbed } from '../test/console-testbed.ts';
import { needs } from '../test/runner/needs.ts';

const changing = suite('changing settings in the console');
if (needs('chromium')) await describe();
changing.run();

async function describe(): Promise<void> {
  const testbed = await openConsoleTestbed();
  const { broker, admin } = testbed.test.client();
  changing.after.each(async () => {
    await Promise.all(testbed.browser.contexts().map((context) => context.close()));
    assert.equal(testbed.problems, []);
  });
  changing.after(() => testbed.close());

  changing('changes the settings of a stack', async () => {
    await broker.createStack({ name: 'web', annotations: { zone: 'a', tier: 'web' } });
    const page = await testbed.open({ path: '/stacks/system/web/settings' });
    await page.getByRole('button', { name: 'Change' }).click();
    const dialog = page.getByRole('dialog');
    assert.equal(await accessibilityProblems(page), []);
    await dialog.getByLabel('Drift').selectOption('reported only');
    await dialog.getByLabel('Existing objects').selectOption('refused');
    await dialog.getByLabel('Objects when').selectOption('kept in the cluster');
    await dialog.getByLabel('Annotations').fill('zone');
    await dialog.getByRole('button', { name: 'Save' }).click();
    await dialog.getByText('is not of the form key=value').waitFor();
    await dialog.getByLabel('Annotations').fill('zone=b');
    await dialog.getByRole('button', { name: 'Save' }).click();
    await dialog.waitFor({ state: 'detached' });
    const { stack } = await broker.getStack({ stack: 'web' });
    assert.is(stack?.drift, DriftPolicy.REPORT);
    assert.is(stack?.conflict, ConflictPolicy.REFUSE);
    assert.is(stack?.onDelete, OnDelete.ORPHAN);
    assert.equal(stack?.annotations, { zone: 'b' });
    await page.locator('main').getByText('reported only').waitFor();
  });

  changing('a concurrent change is not overwritten', async () => {
    await broker.createStack({ name: 'shared' });
    const page = await testbed.open({ path: '/stacks/system/shared/settings' });
    await page.getByRole('button', { name: 'Change' }).click();
    await broker.updateStack({ stack: 'shared', drift: DriftPolicy.IGNORE, updateMask: { paths: ['drift'] } });
    await page.locator('main').getByText('ignored until').first().waitFor({ state: 'attached' });
    await page.getByRole('dialog').getByRole('button', { name: 'Save' }).click();
    await page.getByText('Somebody else made a change').waitFor();
    assert.is((await broker.getStack({ stack: 'shared' })).stack?.drift, DriftPolicy.IGNORE);
  });

  changing('changes the rules and quotas of a generator', async () => {
    await admin.createGenerator({ name: 'shop', rules: { denyKinds: ['Secret'] }, quota: { stacks: 7 } });
    const page = await testbed.open({ path: '/generators/shop' });
    await page.getByRole('button', { name: 'Limits' }).click();
    const dialog = page.getByRole('dialog');
    assert.equal(await accessibilityProblems(page), []);
    await dialog.getByLabel('Allowed namespaces').fill('shop-* till');
    await dialog.getByLabel('Revisions kept per stack').fill('20');
    await dialog.getByRole('button', { name: 'Save' }).click();
    await dialog.waitFor({ state: 'detached' });
    const { generator } = await admin.getGenerator({ generator: 'shop' });
    assert.equal(generator?.rules?.allowNamespaces, ['shop-*', 'till']);
    assert.equal(generator?.rules?.denyKinds, ['Secret']);
    assert.is(generator?.quota?.stacks, 7);
    assert.is(generator?.quota?.deploymentsPerStack, 20);
    await page.getByText('shop-*, till').waitFor();
  });
}
