import { Code } from '@connectrpc/connect';
import pg from 'pg';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Outcome } from '../../gen/brokkr/v1/event_pb.ts';
import { configMap, startTestAgent } from '../../test/agents.ts';
import { eventually, refused, startTestBroker } from '../../test/broker.ts';

const test = await startTestBroker();
const { admin, broker } = test.client();
const sql = new pg.Client({
  connectionString: test.postgres.url,
  options: `-c search_path=${test.config.databaseSchema}`,
});
await sql.connect();

const quotas = suite('quotas');
quotas.after(async () => {
  await sql.end();
  await test.close();
});

let names = 0;
async function tenant(quota: { stacks?: number; deploymentsPerStack?: number; manifestBytes?: bigint }) {
  const name = `g${++names}`;
  const { pak } = await admin.createGenerator({ name, quota });
  const client = test.client(pak).broker;
  await client.createStack({ name: 'web', labels: [name] });
  return { name, client };
}
const revisions = async (client: typeof broker, stack = 'web') =>
  (await client.listDeployments({ stack })).deployments.map(({ revision }) => revision);
const keptBytes = async (name: string) => {
  const { rows } = await sql.query<{ kept: string; real: string }>(
    `select coalesce(sum(s.kept_bytes), 0) as kept, coalesce(sum((select sum(size) from deployment d where d.stack_id = s.id)), 0) as real
     from stack s join generator g on g.id = s.generator_id where g.name = $1`,
    [name],
  );
  assert.is(rows[0]?.kept, rows[0]?.real, 'what is counted is what is there');
  return Number(rows[0]?.kept);
};

quotas('of stacks count the live ones, also when several are made at once', async () => {
  const { name, client } = await tenant({ stacks: 3 });
  const made = await Promise.allSettled(Array.from({ length: 6 }, (_, at) => client.createStack({ name: `s${at}` })));
  assert.is(made.filter(({ status }) => status === 'fulfilled').length, 2);
  await refused(client.createStack({ name: 'more' }), Code.ResourceExhausted, 'has 3 stacks');
  // Admins do not make more for it either.
  await refused(broker.createStack({ name: 'more', generator: name }), Code.ResourceExhausted);
  await client.deleteStack({ stack: 'web' });
  await client.createStack({ name: 'more' });
  await admin.updateGenerator({ generator: name, quota: { stacks: 4 }, updateMask: { paths: ['quota'] } });
  await client.createStack({ name: 'most' });
});

quotas('of deployments forget the oldest, never the current one', async () => {
  const { client } = await tenant({ deploymentsPerStack: 3 });
  for (let at = 1; at <= 5; at += 1)
    await client.submitDeployment({ stack: 'web', manifest: configMap('c', `v${at}`) });
  assert.equal(await revisions(client), [5, 4, 3]);
  await client.rollbackStack({ stack: 'web', revision: 3 });
  assert.equal(await revisions(client), [6, 5, 4]);
  await refused(client.rollbackStack({ stack: 'web', revision: 2 }), Code.NotFound);
  const { manifest } = await client.getDeployment({ stack: 'web' });
  assert.match(Buffer.from(manifest).toString(), 'v3');
});

quotas('of one deployment keep the current one alone', async () => {
  const { name, client } = await tenant({ deploymentsPerStack: 1 });
  const agent = await startTestAgent(test, { name, labels: [name], generators: [name] });
  for (let at = 1; at <= 3; at += 1) {
    await client.submitDeployment({ stack: 'web', manifest: configMap('c', `v${at}`) });
    await eventually(async () => (await agent.entry('web')).revision === at);
    await agent.reconcile();
  }
  assert.equal(await revisions(client), [3]);
  await refused(client.rollbackStack({ stack: 'web' }), Code.FailedPrecondition, 'no earlier revision');
});

quotas('do not forget a deployment that an agent is pinned to', async () => {
  const { name, client } = await tenant({ deploymentsPerStack: 2 });
  const agent = await startTestAgent(test, { name, labels: [name], generators: [name] });
  const { deployment } = await client.submitDeployment({ stack: 'web', manifest: configMap('c', 'pinned') });
  await sql.query('update placement set pin_deployment = $1 where agent_id = $2', [deployment?.id, agent.id]);
  for (let at = 1; at <= 4; at += 1)
    await client.submitDeployment({ stack: 'web', manifest: configMap('c', `v${at}`) });
  assert.equal(await revisions(client), [5, 4, 1]);
  // As it was pinned past the broker, nobody was told; the submissions were.
  await eventually(async () => (await agent.entry('web')).revision === 1);
});

quotas('do not make an agent that still holds a forgotten deployment look newer than the broker', async () => {
  const { name, client } = await tenant({ deploymentsPerStack: 1 });
  const agent = await startTestAgent(test, { name, labels: [name], generators: [name] });
  await client.submitDeployment({ stack: 'web', manifest: configMap('c', 'old') });
  const { stackId, deploymentId, order } = await agent.entry('web');
  await client.submitDeployment({ stack: 'web', manifest: configMap('c', 'new') });
  const { epoch } = await agent.pull();
  assert.is(await agent.start({ held: [{ stackId, deploymentId, order }], epoch }), epoch);
  const entry = await eventually(async () => {
    const now = await agent.entry('web');
    return now.revision === 2 && now;
  });
  await agent.report(entry, Outcome.APPLIED);
  // One that the broker never had is still a witness of a restored backup.
  const strange = { stackId, deploymentId: 'ffffffff-ffff-7fff-bfff-ffffffffffff', order };
  assert.is(await agent.start({ held: [strange], epoch }), epoch + 1n);
});

quotas('of bytes count what is kept, in all stacks', async () => {
  const size = Buffer.byteLength(configMap('c', 'x'.repeat(1_000))) + 1;
  const { name, client } = await tenant({ manifestBytes: BigInt(3 * size + 10), deploymentsPerStack: 2 });
  await client.createStack({ name: 'api' });
  const submit = (stack: string, letter: string) =>
    client.submitDeployment({ stack, manifest: configMap('c', letter.repeat(1_000)) });
  await submit('web', 'a');
  await submit('web', 'b');
  await submit('api', 'c');
  assert.is(await keptBytes(name), 3 * size);
  // The oldest goes, so there is room.
  await submit('web', 'd');
  assert.is(await keptBytes(name), 3 * size);
  const before = await revisions(client, 'api');
  const error = await refused(submit('api', 'e'), Code.ResourceExhausted, `its quota is ${3 * size + 10}`);
  assert.ok(error.details.length > 0);
  assert.equal(await revisions(client, 'api'), before);
  assert.is(await keptBytes(name), 3 * size);
  await client.submitDeployment({ stack: 'api', manifest: configMap('c', 'c'.repeat(1_000)) });
  await refused(
    client.rollbackStack({ stack: 'web' }).then(() => submit('api', 'f')),
    Code.ResourceExhausted,
  );
});

quotas('of bytes hold when several stacks are written at once', async () => {
  const size = Buffer.byteLength(configMap('c', 'x'.repeat(1_000))) + 1;
  const { name, client } = await tenant({ manifestBytes: BigInt(3 * size + 10) });
  const stacks = ['s1', 's2', 's3', 's4', 's5', 's6'];
  for (const stack of stacks) await client.createStack({ name: stack });
  const results = await Promise.allSettled(
    stacks.map((stack, at) => client.submitDeployment({ stack, manifest: configMap('c', String(at).repeat(1_000)) })),
  );
  assert.is(results.filter(({ status }) => status === 'fulfilled').length, 3);
  assert.is(await keptBytes(name), 3 * size);
});

quotas('do not limit the admins, and 0 means the default', async () => {
  const { generator } = await admin.createGenerator({ name: 'plain' });
  assert.equal(
    [generator?.quota?.stacks, generator?.quota?.deploymentsPerStack, generator?.quota?.manifestBytes],
    [0, 0, 0n],
  );
  await broker.createStack({ name: 'base' });
  for (let at = 0; at < 102; at += 1)
    await broker.submitDeployment({ stack: 'base', manifest: configMap('c', `${at}`) });
  const { deployments } = await broker.listDeployments({ stack: 'base', pageSize: 500 });
  assert.is(deployments.length, 100);
});

quotas.run();
