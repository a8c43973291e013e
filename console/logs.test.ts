// time limit: 5 min
import type { Locator, Page } from 'playwright-core';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { SimulatedCluster } from '../sandbox/cluster/cluster.ts';
import type { Member } from '../sandbox/fleet.ts';
import { eventually } from '../test/broker.ts';
import { accessibilityProblems, assertFitsScreen, longTimeoutMs, openConsoleTestbed } from '../test/console-testbed.ts';
import { createPodEvent, waitForPod, workload } from '../test/pods.ts';
import { needs } from '../test/runner/needs.ts';

const logs = suite('logs in the console');
if (needs('chromium')) await describe();
logs.run();

async function describe(): Promise<void> {
  const testbed = await openConsoleTestbed();
  const { broker } = testbed.test.client();
  const { members } = await testbed.agents(2, 'eu', ['demo'], { pods: true, lineEveryMs: 0 });
  const [first, second] = members as [Member, Member];
  await broker.createStack({ name: 'web', labels: ['demo'] });
  await broker.submitDeployment({ stack: 'web', manifest: Buffer.from(JSON.stringify(workload('web'))) });
  await Promise.all(members.map(waitUntilFollowed));

  logs.after.each(async () => {
    await Promise.all(testbed.browser.contexts().map((context) => context.close()));
    assert.equal(testbed.problems, []);
  });
  logs.after(() => testbed.close());

  /** Writes repeatedly until the broker has a line: nothing else shows that the agent follows the log. */
  async function waitUntilFollowed(member: Member): Promise<void> {
    await eventually(async () => {
      await write(member, 'ready');
      const { records } = await broker.listPodLogs({ stack: 'web', agent: member.name });
      return records.length > 0;
    }, longTimeoutMs);
  }

  const path = '/stacks/system/web/logs';
  const area = (page: Page) => page.getByRole('log');
  const line = (page: Page, text: string) => area(page).getByText(text);

  logs('shows pod logs and Kubernetes events of all clusters live', async () => {
    const page = await testbed.open({ path });
    await line(page, 'ready').first().waitFor();
    for (const member of members) await write(member, `hello from ${member.name}`);
    await emitEvent(first, 'restarting failed container');
    for (const { name } of members)
      await area(page)
        .getByRole('paragraph')
        .filter({ hasText: `hello from ${name}` })
        .filter({ hasText: new RegExp(`${name} .*main`) })
        .waitFor();
    await area(page)
      .getByRole('paragraph')
      .filter({ hasText: 'Warning' })
      .filter({ hasText: 'BackOff: restarting failed container' })
      .waitFor();
  });

  logs('filters by agent, kind, source and text, and keeps the filter in the URL', async () => {
    for (const member of members) await write(member, `Apples of ${member.name}`, `pears of ${member.name}`);
    await emitEvent(second, 'about apples');
    const page = await testbed.open({ path });
    await line(page, 'about apples').waitFor();
    await page.getByRole('searchbox').fill('apples');
    await line(page, 'pears').first().waitFor({ state: 'detached' });
    await line(page, 'Apples of eu-1').waitFor();
    await page.getByRole('combobox', { name: 'Agent' }).selectOption('eu-2');
    await line(page, 'Apples of eu-1').waitFor({ state: 'detached' });
    await line(page, 'Apples of eu-2').waitFor();
    await page.getByRole('combobox', { name: 'Show' }).selectOption('Lines');
    await line(page, 'about apples').waitFor({ state: 'detached' });
    await line(page, 'Apples of eu-2').waitFor();
    assert.match(page.url(), '?search=apples&agent=eu-2&show=lines');
    await page.getByRole('combobox', { name: 'Show' }).selectOption('Lines and events');
    await page.getByRole('combobox', { name: 'Source' }).selectOption(`Pod default/${(await podIn(second)).pod}`);
    await line(page, 'Apples of eu-2').waitFor({ state: 'detached' });
    await line(page, 'about apples').waitFor();
    await page.getByRole('searchbox').fill('nowhere');
    await page.getByText('No entry matches').waitFor();
  });

  logs('while paused nothing moves, and new entries are shown afterwards', async () => {
    const page = await testbed.open({ path });
    await line(page, 'ready').first().waitFor();
    await page.getByRole('button', { name: 'Pause' }).click();
    await write(first, 'while you read');
    await page.getByText('paused, 1 more since').waitFor();
    assert.is(await line(page, 'while you read').count(), 0);
    await page.getByRole('button', { name: 'Follow' }).click();
    await line(page, 'while you read').waitFor();
  });

  logs('scrolling up pauses the view, and scrolling to the end follows again', async () => {
    const page = await testbed.open({ path });
    await write(first, ...Array.from({ length: 120 }, (_, at) => `scroll ${at + 1}.`));
    await line(page, 'scroll 120.').waitFor();
    assert.is(await line(page, 'scroll 1.').count(), 0, 'only visible lines are rendered');
    await area(page).focus();
    await page.keyboard.press('Home');
    await page.getByText('paused').waitFor();
    await write(first, 'the very last');
    await page.getByText('paused, 1 more since').waitFor();
    assert.is(await line(page, 'the very last').count(), 0);
    await eventually(async () => {
      await page.keyboard.press('End');
      return (await page.getByText('paused').count()) === 0;
    }, longTimeoutMs);
    await line(page, 'the very last').waitFor();
  });

  logs('missing lines are marked', async () => {
    const page = await testbed.open({ path });
    await line(page, 'ready').or(line(page, 'scroll')).first().waitFor();
    await write(first, ...Array.from({ length: 3_000 }, (_, at) => `flood ${at}`));
    await page.getByRole('searchbox').fill('missing');
    const mark = area(page).getByRole('paragraph').filter({ hasText: 'Gap' });
    await mark
      .filter({ hasText: /[\d,]+ lines are missing: the agent exceeded its rate limit/ })
      .first()
      .waitFor();
  });

  logs('log lines cannot inject anything into the page', async () => {
    const page = await testbed.open({ path });
    await page.getByRole('searchbox').fill('tricks');
    await write(first, '\u001b[31mtricks\u001b[0m \u202e<img src=x onerror=alert(1)>\u0007\u001b]0;title\u0007.');
    const shown = line(page, 'tricks');
    await shown.waitFor();
    assert.match(await textOf(shown), 'tricks \ufffd<img src=x onerror=alert(1)>\ufffd.');
    assert.is(await area(page).locator('img').count(), 0);
  });

  logs('after a restart of the broker nothing is missing and nothing is shown twice', async () => {
    const page = await testbed.open({ path });
    await page.getByRole('searchbox').fill('away');
    await write(first, 'away: before');
    await line(page, 'away: before').waitFor();
    await testbed.test.restart(0, () => write(first, 'away: meanwhile'));
    await write(first, 'away: after');
    await line(page, 'away: after').waitFor();
    assert.equal(
      (await area(page).getByRole('paragraph').allTextContents()).map((text) => /away: (\w+)$/.exec(text)?.[1]),
      ['before', 'meanwhile', 'after'],
    );
  });

  logs('an empty view explains why it is empty', async () => {
    await broker.createStack({ name: 'quiet', labels: ['demo'] });
    await broker.createStack({ name: 'alone', labels: ['nobody'] });
    const page = await testbed.open({ path: '/stacks/system/quiet/logs' });
    await page.getByText('annotation brokkr.io/stream-logs: "true"').waitFor();
    await page.getByText('BROKKR_TELEMETRY=off').waitFor();
    const alone = await testbed.open({ path: '/stacks/system/alone/logs' });
    await alone.getByText('No agent serves this stack').waitFor();
  });

  for (const colours of ['light', 'dark'] as const)
    logs(`logs are accessible and fit a phone, in ${colours} colours`, async () => {
      await emitEvent(first, 'for everybody');
      const page = await testbed.open({ path, colours, width: 390 });
      await line(page, 'for everybody').first().waitFor();
      assert.equal(await accessibilityProblems(page), []);
      await assertFitsScreen(page);
    });
}

/** Returns the cluster of an agent and the name of its stack's pod. */
async function podIn({ cluster }: Member): Promise<{ cluster: SimulatedCluster; pod: string }> {
  assert.ok(cluster);
  return { cluster, pod: await waitForPod(cluster, 'web') };
}

async function write(member: Member, ...lines: string[]): Promise<void> {
  const { cluster, pod } = await podIn(member);
  cluster.write('default', pod, 'main', lines);
}

async function emitEvent(member: Member, message: string): Promise<void> {
  const { cluster, pod } = await podIn(member);
  createPodEvent(cluster, pod, message);
}

async function textOf(part: Locator): Promise<string> {
  return (await part.textContent()) ?? '';
}
