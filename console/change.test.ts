import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ConflictPolicy, DriftPolicy, OnDelete } from '../gen/brokkr/v1/stack_pb.ts';
import { barriers, openConsoleStage } from '../test/console-stage.ts';
import { needs } from '../test/runner/needs.ts';

const changing = suite('changing settings by the console');
if (needs('chromium')) await describe();
changing.run();

async function describe(): Promise<void> {
  const stage = await openConsoleStage();
  const { broker, admin } = stage.test.client();
  changing.after.each(async () => {
    await Promise.all(stage.browser.contexts().map((context) => context.close()));
    assert.equal(stage.problems, []);
  });
  changing.after(() => stage.close());

  changing('what agents do with a stack is changed', async () => {
    await broker.createStack({ name: 'web', annotations: { zone: 'a', tier: 'web' } });
    const page = await stage.open({ path: '/stacks/system/web/settings' });
    await page.getByRole('button', { name: 'Change' }).click();
    const dialog = page.getByRole('dialog');
    assert.equal(await barriers(page), []);
    await dialog.getByLabel('What others changed').selectOption('only reported');
    await dialog.getByLabel('What is there already').selectOption('fails');
    await dialog.getByLabel('Objects, when').selectOption('stay in the cluster');
    await dialog.getByLabel('Annotations').fill('zone');
    await dialog.getByRole('button', { name: 'Save' }).click();
    await dialog.getByText('An annotation is key=value').waitFor();
    await dialog.getByLabel('Annotations').fill('zone=b');
    await dialog.getByRole('button', { name: 'Save' }).click();
    await dialog.waitFor({ state: 'detached' });
    const { stack } = await broker.getStack({ stack: 'web' });
    assert.is(stack?.drift, DriftPolicy.REPORT);
    assert.is(stack?.conflict, ConflictPolicy.REFUSE);
    assert.is(stack?.onDelete, OnDelete.ORPHAN);
    assert.equal(stack?.annotations, { zone: 'b' });
    await page.locator('main').getByText('only reported').waitFor();
  });

  changing('who was slower overwrites nothing', async () => {
    await broker.createStack({ name: 'shared' });
    const page = await stage.open({ path: '/stacks/system/shared/settings' });
    await page.getByRole('button', { name: 'Change' }).click();
    await broker.updateStack({ stack: 'shared', drift: DriftPolicy.IGNORE, updateMask: { paths: ['drift'] } });
    await page.locator('main').getByText('left alone').first().waitFor({ state: 'attached' });
    await page.getByRole('dialog').getByRole('button', { name: 'Save' }).click();
    await page.getByText('Somebody else was faster').waitFor();
    assert.is((await broker.getStack({ stack: 'shared' })).stack?.drift, DriftPolicy.IGNORE);
  });

  changing('what a generator may deploy and keep is changed', async () => {
    await admin.createGenerator({ name: 'shop', rules: { denyKinds: ['Secret'] }, quota: { stacks: 7 } });
    const page = await stage.open({ path: '/generators/shop' });
    await page.getByRole('button', { name: 'Limits' }).click();
    const dialog = page.getByRole('dialog');
    assert.equal(await barriers(page), []);
    await dialog.getByLabel('Allowed namespaces').fill('shop-* till');
    await dialog.getByLabel('Revisions kept of a stack').fill('20');
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
