/** `npm run screenshots` takes the screenshots for the docs, in docs/content/images/, of a realistic fleet. */
import { mkdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Page } from 'playwright-core';
import { openMigrated } from '../broker/open-store.ts';
import type { Database } from '../broker/store/database.ts';
import type { BrokkrClient } from '../client/client.ts';
import type { Fleet } from '../sandbox/fleet.ts';
import { eventually } from './broker.ts';
import { goTo, longTimeoutMs, openConsoleTestbed } from './console-testbed.ts';
import { insertManyAgents } from './many-agents.ts';
import { createPodEvent, waitForPod, workload } from './pods.ts';

const root = resolve(import.meta.dirname, '..');
const folder = join(root, 'docs/content/images');
const size = { width: 1200, height: 760 } as const;

const testbed = await openConsoleTestbed();
try {
  mkdirSync(folder, { recursive: true });
  const client = testbed.test.client();
  const db = await openMigrated(testbed.test.config);
  try {
    await insertManyAgents(db, 480, 'store');
    await deploySome(client);
    const hubs = await testbed.agents(2, 'hub', ['prod', 'hub'], { pods: true, lineEveryMs: 0 });
    await reportFor(db);
    await deployTills(client, hubs);
    const page = await testbed.open({ ...size, colours: 'light' });
    await takeAll(page);
    const dark = await testbed.open({ ...size, colours: 'dark' });
    await take(dark, '/fleet', 'Fleet', '482 agents', 'console-fleet-dark');
    const phone = await testbed.open({ width: 390, height: 760, colours: 'light' });
    await take(phone, '/fleet', 'Fleet', '482 agents', 'console-phone');
  } finally {
    await db.close();
  }
} finally {
  await testbed.close();
}

async function takeAll(page: Page): Promise<void> {
  await take(page, '/fleet', 'Fleet', '482 agents', 'console-fleet');
  await take(page, '/stacks/system/kiosk', 'system/kiosk', 'exceeded quota', 'console-stack');
  await take(page, '/stacks/system/web/revisions', 'system/web', 'replicas: 3', 'console-revisions');
  await take(page, '/stacks/system/till/logs', 'system/till', 'restarting failed', 'console-logs');
  await take(
    page,
    '/explain?stack=system/kiosk&agent=store-0050',
    'Explain a placement',
    'agent online',
    'console-explain',
  );
}

async function take(page: Page, path: string, title: string, text: string, name: string): Promise<void> {
  await goTo(page, path, title);
  await page.locator('main').getByText(text).first().waitFor();
  // Move the mouse off every element, and wait until late content has loaded.
  await page.mouse.move(0, 0);
  await page.waitForLoadState('networkidle', { timeout: 1_500 }).catch(() => {});
  await page.screenshot({ path: join(folder, `${name}.png`) });
}

async function deploySome({ broker, admin }: BrokkrClient): Promise<void> {
  const web = ['configmap', 'deployment', 'service'].map((name) =>
    readFileSync(join(root, `examples/web/${name}.yaml`), 'utf8'),
  );
  await broker.createStack({ name: 'web', labels: ['hub'] });
  await broker.submitDeployment({ stack: 'web', manifest: Buffer.from(web.join('---\n')), message: 'the first one' });
  const more = web.join('---\n').replace(/replicas: \d/, 'replicas: 3');
  await broker.submitDeployment({ stack: 'web', manifest: Buffer.from(more), message: 'ready for the weekend' });
  const names = { kiosk: 'prod', 'price-tags': 'staging' };
  for (const [name, label] of Object.entries(names)) {
    await broker.createStack({ name, labels: [label] });
    const object = {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name, namespace: 'default' },
      data: { open: 'yes' },
    };
    await broker.submitDeployment({
      stack: name,
      manifest: Buffer.from(JSON.stringify(object)),
      message: 'opening hours',
    });
  }
  await admin.createGenerator({ name: 'checkout', description: 'The pipeline of the checkout team' });
}

/** Deploys a stack whose pods write log lines, and one pod that does not start. */
async function deployTills({ broker }: BrokkrClient, { members }: Fleet): Promise<void> {
  const stack = 'till';
  await broker.createStack({ name: stack, labels: ['hub'] });
  await broker.submitDeployment({ stack, manifest: Buffer.from(JSON.stringify(workload(stack))) });
  for (const { name: agent, cluster } of members) {
    if (!cluster) continue;
    const pod = await waitForPod(cluster, stack);
    const write = (...lines: string[]) => cluster.write('default', pod, 'main', lines);
    write('till 4.2.0 starts');
    await eventually(async () => (await broker.listPodLogs({ stack, agent })).records.length > 0, longTimeoutMs);
    for (let sale = 1; sale <= 9; sale += 1) {
      write(`{"level":"info","msg":"sold","till":${sale},"items":${(sale * 7) % 11},"ms":${12 + ((sale * 31) % 40)}}`);
      await delay(60);
    }
  }
  const [{ cluster } = { cluster: undefined }] = members;
  if (cluster) createPodEvent(cluster, await waitForPod(cluster, stack), 'Back-off restarting failed container main');
}

/** Inserts reports for the agents that were created by SQL: most are healthy, some failed, a few are progressing. */
async function reportFor(db: Database): Promise<void> {
  const stores = `from placement
    join stack on stack.id = placement.stack_id
    join deployment on deployment.id = stack.current_deployment
    join agent on agent.id = placement.agent_id
    cross join lateral (select right(agent.name, 4)::int as n) as store
    where agent.name like 'store-%' and n % 50 <> 0 and n % 23 <> 0`;
  await db.transact(async (tx) => {
    await tx.sql(
      `insert into placement_status
         (agent_id, stack_id, deployment_id, checksum, generation, outcome, message, incarnation, sequence)
       select agent.id, stack.id, deployment.id, deployment.checksum, placement.generation,
         case when n % 61 = 0 then 'failed' else 'applied' end,
         case when n % 61 = 0 then 'configmaps "kiosk" is forbidden: exceeded quota' else '' end, 1, 1
       ${stores}`,
    );
    await tx.sql(
      `insert into placement_health
         (agent_id, stack_id, deployment_id, generation, incarnation, health, message, objects, object_count)
       select agent.id, stack.id, deployment.id, placement.generation, 1,
         (case when n % 31 = 0 then 'progressing' else 'healthy' end)::health, '', '[]', 1
       ${stores} and n % 61 <> 0`,
    );
  });
}
