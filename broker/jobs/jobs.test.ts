import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { configMap, startTestAgent } from '../../test/agents.ts';
import { eventually, startTestBroker } from '../../test/broker.ts';
import { openMigrated } from '../open-store.ts';
import { jobs } from './jobs.ts';

const test = await startTestBroker();
const db = await openMigrated(test.config);
const { admin, broker } = test.client();
const chores = suite('jobs');
chores.after(async () => {
  await db.close();
  await test.close();
});

async function run(name: string): Promise<number> {
  const job = jobs.find((candidate) => candidate.name === name);
  assert.ok(job, name);
  return job.run(db, { telemetryMs: 0 });
}
const count = async (table: string) =>
  (await db.sql<{ count: number }>(`select count(*)::int as count from ${table}`))[0]?.count;
const age = (table: string) =>
  db.sql(`update ${table} set deleted_at = deleted_at - interval '1 hour' where deleted_at is not null`);

chores('purge stacks and generators once nothing of them is left on any agent', async () => {
  await admin.createGenerator({ name: 'gone' });
  const agent = await startTestAgent(test, { name: 'slow', labels: ['gone'], generators: ['gone'] });
  for (const name of ['placed', 'unplaced']) {
    await broker.createStack({ name, generator: 'gone', labels: name === 'placed' ? ['gone'] : [] });
    await broker.submitDeployment({ stack: `gone/${name}`, manifest: configMap(name) });
  }
  await broker.createStack({ name: 'stays' });
  await broker.submitDeployment({ stack: 'stays', manifest: configMap('stays') });
  await eventually(async () => (await agent.activeStacks()).length === 1);
  await admin.deleteGenerator({ generator: 'gone', cascade: true });
  assert.equal([await run('stack_purge'), await run('generator_purge')], [0, 0], 'not in the first minute');
  await age('stack');
  await age('generator');
  assert.equal([await run('stack_purge'), await run('generator_purge')], [1, 0], 'one stack is still placed');
  await eventually(async () => (await agent.removingStacks()).length === 1);
  await agent.reconcile();
  assert.equal([await run('stack_purge'), await run('generator_purge')], [1, 1]);
  assert.equal([await count('stack'), await count('deployment'), await count('generator')], [1, 1, 1]);
  assert.is((await broker.listEvents({ agent: 'slow' })).events.length, 1, 'what was reported stays');
});

chores('purge manifests that no deployment refers to, and no other', async () => {
  const before = await count('manifest');
  assert.is(before, 3);
  assert.is(await run('manifest_purge'), 2);
  assert.is(await run('manifest_purge'), 0);
  assert.ok((await broker.getDeployment({ stack: 'stays' })).manifest.length > 0);
});

chores('keep a manifest that is submitted again while it is purged', async () => {
  for (let times = 0; times < 10; times += 1) {
    await broker.createStack({ name: 'twice' });
    await broker.submitDeployment({ stack: 'twice', manifest: configMap('twice') });
    await broker.deleteStack({ stack: 'twice' });
    await age('stack');
    await run('stack_purge');
    await broker.createStack({ name: 'twice' });
    await Promise.all([
      run('manifest_purge').catch(() => 0),
      broker.submitDeployment({ stack: 'twice', manifest: configMap('twice') }),
    ]);
    assert.ok((await broker.getDeployment({ stack: 'twice' })).manifest.length > 0);
    await broker.deleteStack({ stack: 'twice' });
  }
});

chores('forget old changes and old requests', async () => {
  await admin.createAgent({ name: 'asked', requestId: 'r1' });
  assert.equal([await run('change_retention'), await run('request_retention')], [0, 0]);
  await db.sql(`update change set at = at - interval '2 hours'`);
  await db.sql(`update request set created_at = created_at - interval '25 hours'`);
  assert.ok((await run('change_retention')) > 10);
  assert.is(await run('request_retention'), 1);
  assert.is(await count('change'), 0);
});

chores('find and repair placements that somebody else changed', async () => {
  await broker.createStack({ name: 'broken', labels: ['broken'] });
  await startTestAgent(test, { name: 'one', labels: ['broken'] });
  await startTestAgent(test, { name: 'two' });
  assert.is(await run('placement_repair'), 0);
  await db.sql(`delete from placement where stack_id = (select id from stack where name = 'broken')`);
  await db.sql(
    `insert into placement (agent_id, stack_id, state, generation)
     select a.id, s.id, 'active', nextval('order_seq') from agent a, stack s where a.name = 'two' and s.name = 'broken'`,
  );
  assert.is(await run('placement_repair'), 2);
  assert.is(await run('placement_repair'), 0);
  const { placements } = await broker.listPlacements({ stack: 'broken' });
  assert.equal(placements.map(({ agent, removalReason }) => [agent, removalReason]).sort(), [
    ['one', ''],
    ['two', 'repaired'],
  ]);
});

chores.run();
