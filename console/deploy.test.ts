import type { Locator, Page } from 'playwright-core';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Outcome } from '../gen/brokkr/v1/event_pb.ts';
import { startTestAgent } from '../test/agents.ts';
import { eventually } from '../test/broker.ts';
import { goTo, openConsoleTestbed } from '../test/console-testbed.ts';
import { needs } from '../test/runner/needs.ts';

const deploying = suite('deploying in the console');
if (needs('chromium')) await describe();
deploying.run();

async function describe(): Promise<void> {
  const testbed = await openConsoleTestbed();
  const { broker, admin } = testbed.test.client();
  const fleet = await testbed.agents(2, 'eu', ['demo']);
  deploying.after.each(async () => {
    await Promise.all(testbed.browser.contexts().map((context) => context.close()));
    assert.equal(testbed.problems, []);
  });
  deploying.after(() => testbed.close());

  const yaml = (name: string, value: string) => `apiVersion: v1
kind: ConfigMap
metadata: { name: ${name}, namespace: default }
data: { greeting: ${value} }
`;
  const makeStack = async (name: string, ...values: string[]) => {
    await broker.createStack({ name, labels: ['demo'] });
    for (const value of values)
      await broker.submitDeployment({ stack: name, manifest: Buffer.from(yaml(name, value)), message: value });
  };
  const rows = (page: Page) => page.getByRole('table', { name: 'Placements' }).getByRole('row');
  const applied = async (page: Page, revision: number) => {
    for (const { name } of fleet.members)
      await rows(page)
        .filter({ hasText: name })
        .filter({ hasText: 'applied' })
        .filter({ hasText: String(revision) })
        .waitFor();
  };

  deploying('a new stack is previewed, deployed and shown live until it is applied', async () => {
    const page = await testbed.open({ path: '/stacks' });
    await page.getByRole('button', { name: 'New stack' }).click();
    await page.getByRole('dialog').getByLabel('Name').fill('hello');
    await page.getByRole('dialog').getByLabel('Labels').fill('demo');
    await page.getByRole('dialog').getByRole('button', { name: 'Create' }).click();
    await page.getByRole('heading', { level: 1, name: 'Deploy system/hello' }).waitFor();
    assert.ok(
      await page.getByRole('button', { name: 'Deploy…' }).isDisabled(),
      'nothing can be deployed without a preview',
    );
    await page.getByLabel('Kubernetes objects').fill(yaml('hello', 'hello'));
    await page.getByLabel('Message').fill('a first one');
    await page.getByRole('button', { name: 'Preview' }).click();
    const preview = page.getByRole('region', { name: 'Preview' });
    await preview.getByText('1 change').waitFor();
    assert.match(await textOf(preview), /2 agents: eu-1, eu-2/);
    assert.match(await textOf(preview), /created\s+ConfigMap default\/hello/);
    assert.is((await broker.getStack({ stack: 'hello' })).stack?.revision, 0, 'a preview stores nothing');
    await page.getByRole('button', { name: 'Deploy…' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Deploy' }).click();
    await page.getByRole('heading', { level: 1, name: 'system/hello' }).waitFor();
    await applied(page, 1);
    const [member] = fleet.members;
    assert.equal(member?.cluster?.get('v1', 'ConfigMap', 'default', 'hello')?.data, { greeting: 'hello' });
    // The stream also shows what somebody else submits.
    await broker.submitDeployment({ stack: 'hello', manifest: Buffer.from(yaml('hello', 'again')) });
    await applied(page, 2);
  });

  deploying('invalid YAML and invalid Kubernetes objects are refused with an error', async () => {
    await makeStack('broken');
    const page = await testbed.open({ path: '/stacks/system/broken/deploy' });
    await page.getByLabel('Kubernetes objects').fill('a: [1');
    await page.getByRole('button', { name: 'Preview' }).click();
    await page.getByRole('alert').waitFor();
    await page.getByLabel('Kubernetes objects').fill('kind: ConfigMap');
    await page.getByRole('button', { name: 'Preview' }).click();
    await page.getByRole('alert').filter({ hasText: 'apiVersion' }).waitFor();
    assert.ok(await page.getByRole('button', { name: 'Deploy…' }).isDisabled());
  });

  deploying('compares revisions side by side and rolls back after a preview', async () => {
    await makeStack('tour', 'old', 'new');
    const page = await testbed.open({ path: '/stacks/system/tour/revisions' });
    const lines = page.getByRole('region', { name: 'Lines of' });
    await lines.waitFor();
    assert.match(await textOf(lines), /-\s*greeting: old/);
    assert.match(await textOf(lines), /\+\s*greeting: new/);
    await page.getByRole('button', { name: 'Roll back to revision 1' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByText('.data.greeting').waitFor();
    assert.match(await textOf(dialog), /2 agents: eu-1, eu-2/);
    await dialog.getByRole('button', { name: 'Roll back' }).click();
    await applied(page, 3);
    const { deployment } = await broker.getDeployment({ stack: 'tour' });
    assert.is(deployment?.rollbackOf, 1);
  });

  deploying('objects without a namespace go to the one that is entered, and stay there', async () => {
    await broker.createStack({ name: 'placed', labels: ['demo'] });
    const bare = yaml('placed', 'one').replace(', namespace: default', '');
    const page = await testbed.open({ path: '/stacks/system/placed/deploy' });
    const preview = page.getByRole('region', { name: 'Preview' });
    const deploy = async (text: string) => {
      await page.getByLabel('Kubernetes objects').fill(text);
      await page.getByRole('button', { name: 'Preview' }).click();
      await preview.getByText('ConfigMap default/placed').waitFor();
      await page.getByRole('button', { name: 'Deploy…' }).click();
      await page.getByRole('dialog').getByRole('button', { name: 'Deploy' }).click();
    };
    await page.getByLabel('Namespace of objects that name none').fill('default');
    await deploy(bare);
    await applied(page, 1);
    assert.is((await broker.getDeployment({ stack: 'placed' })).deployment?.namespace, 'default');
    await goTo(page, '/stacks/system/placed/deploy', 'Deploy system/placed');
    const field = page.getByLabel('Namespace of objects that name none');
    await eventually(async () => (await field.inputValue()) === 'default', 30_000);
    await deploy(bare.replace('one', 'two'));
    await applied(page, 2);
    const { deployment } = await broker.getDeployment({ stack: 'placed' });
    assert.is(deployment?.namespace, 'default');
    const [member] = fleet.members;
    assert.equal(member?.cluster?.get('v1', 'ConfigMap', 'default', 'placed')?.data, { greeting: 'two' });
  });

  deploying('values of Secrets are not shown in a comparison', async () => {
    await broker.createStack({ name: 'secrets' });
    for (const password of ['hunter2', 'hunter3']) {
      const secret = {
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: { name: 's', namespace: 'default' },
        stringData: { password },
      };
      await broker.submitDeployment({ stack: 'secrets', manifest: Buffer.from(JSON.stringify(secret)) });
    }
    const page = await testbed.open({ path: '/stacks/system/secrets/revisions' });
    await page.getByText('secret values differ').waitFor();
    assert.not.match(await textOf(page.locator('main')), 'hunter');
  });

  deploying('explains why a stack is not applied, and runs a diagnostic', async () => {
    await makeStack('apart', 'x');
    await admin.createAgent({ name: 'never', labels: ['demo'] });
    const page = await testbed.open({ path: '/explain' });
    await page.getByLabel('Stack').fill('system/apart');
    await page.getByLabel('on agent').fill('never');
    await page.getByRole('button', { name: 'Explain' }).click();
    await page.getByText('the agent has never started').first().waitFor();
    await goTo(page, '/stacks/system/apart', 'system/apart');
    await rows(page).filter({ hasText: 'eu-1' }).getByRole('link', { name: 'Explain' }).click();
    await page.getByText('the agent is not paused').waitFor();
    await page.getByRole('button', { name: 'Diagnose' }).click();
    await page.getByRole('heading', { name: 'Objects' }).waitFor();
    await page.getByRole('region', { name: 'Diagnosis' }).getByText('ConfigMap default/apart').waitFor();
    await admin.deleteAgent({ agent: 'never', orphan: true });
  });

  deploying('a stack is deleted only after its name was typed', async () => {
    await makeStack('goner', 'x');
    const page = await testbed.open({ path: '/stacks/system/goner' });
    await page.getByRole('button', { name: 'Delete' }).click();
    const dialog = page.getByRole('dialog');
    const button = dialog.getByRole('button', { name: 'Delete' });
    await dialog.getByLabel('Type goner to confirm').fill('gone');
    assert.ok(await button.isDisabled());
    await dialog.getByLabel('Type goner to confirm').fill('goner');
    await button.click();
    await page.getByRole('heading', { level: 1, name: 'Stacks', exact: true }).waitFor();
    await eventually(async () => (await broker.listStacks({})).stacks.every(({ name }) => name !== 'goner'), 60_000);
  });

  deploying('a held deletion is confirmed only after the agent’s name was typed', async () => {
    await broker.createStack({ name: 'careful', labels: ['careful'] });
    await broker.submitDeployment({ stack: 'careful', manifest: Buffer.from(yaml('careful', 'x')) });
    const agent = await startTestAgent(testbed.test, { name: 'holder', labels: ['careful'] });
    await agent.report(await agent.entry('careful'), Outcome.HELD, 'it would delete a namespace');
    const page = await testbed.open({ path: '/stacks/system/careful' });
    const row = rows(page).filter({ hasText: 'holder' });
    await row.filter({ hasText: 'it would delete a namespace' }).getByRole('button', { name: 'Confirm' }).click();
    await page.getByLabel('Type holder to confirm').fill('holder');
    await page.getByRole('dialog').getByRole('button', { name: 'Confirm' }).click();
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    assert.ok((await agent.entry('careful')).confirmed);
  });

  deploying('an agent is paused and resumed', async () => {
    const page = await testbed.open({ path: '/agents/eu-2' });
    await page.getByRole('button', { name: 'Pause' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Pause' }).click();
    await page.getByRole('button', { name: 'Resume' }).click();
    assert.ok((await admin.getAgent({ agent: 'eu-2' })).agent?.paused);
    await page.getByRole('dialog').getByRole('button', { name: 'Resume' }).click();
    await page.getByRole('button', { name: 'Pause' }).waitFor();
  });

  deploying('keys are created, shown once, and revoked', async () => {
    const page = await testbed.open({ path: '/keys' });
    await page.getByRole('button', { name: 'New admin key' }).click();
    await page.getByLabel('Name').fill('visitor');
    await page.getByLabel('Read-only').check();
    await page.getByRole('dialog').getByRole('button', { name: 'Create' }).click();
    const pak = (await textOf(page.getByRole('region', { name: 'The new key' }))).trim();
    assert.is((await testbed.test.client(pak).broker.whoAmI({})).name, 'visitor');
    await page.getByRole('button', { name: 'I have stored it' }).click();
    assert.not.match(await page.content(), pak);
    await page.getByRole('button', { name: /^Revoke ro/ }).click();
    await page.getByLabel('Type visitor to confirm').fill('visitor');
    await page.getByRole('dialog').getByRole('button', { name: 'Revoke' }).click();
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    await eventually(async () => (await admin.listPaks({ owner: 'visitor' })).paks.length === 0, 30_000);
  });

  deploying('an agent’s registration is approved', async () => {
    await admin.createGenerator({ name: 'tenant', registration: 2 });
    const page = await testbed.open({ path: '/generators/tenant' });
    const [member] = fleet.members;
    assert.ok(member);
    await page.getByRole('button', { name: 'Register an agent' }).click();
    await page.getByRole('dialog').getByLabel('Agent').fill(member.name);
    await page.getByRole('dialog').getByRole('button', { name: 'Register' }).click();
    await page
      .getByRole('table', { name: 'Registrations' })
      .getByRole('row')
      .filter({ hasText: 'registered' })
      .waitFor();
  });
}

async function textOf(part: Locator): Promise<string> {
  return (await part.textContent()) ?? '';
}
