import { createHash } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { Code } from '@connectrpc/connect';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type PullTargetStateResponse, TargetStateKind } from '../../gen/brokkr/v1/target_state_pb.ts';
import { configMap, startTestAgent, type TestAgent } from '../../test/agents.ts';
import { eventually, refused, startTestBroker } from '../../test/broker.ts';
import { startDatabaseProxy } from '../../test/tools/database-proxy.ts';
import { openMigrated } from '../open-store.ts';

const test = await startTestBroker();
const { admin, broker } = test.client();
const db = await openMigrated(test.config);
const pulls = suite('pulling');
pulls.after(async () => {
  await db.close();
  await test.close();
});

/** Makes stacks with one deployment each by SQL, all with one label. */
async function makeStacks(label: string, count: number): Promise<void> {
  const bytes = configMap(label);
  const checksum = createHash('sha256').update(bytes).digest();
  await db.transact(async (tx) => {
    await tx.sql('insert into manifest (checksum, data) values ($1, $2) on conflict do nothing', [checksum, bytes]);
    await tx.sql(
      `with made as (
         insert into stack (id, generator_id, name, last_revision, current_order)
         select gen_random_uuid(), (select id from generator where system), $1 || '-' || at, 1, nextval('order_seq')
         from generate_series(1, $2::int) as at returning id),
       labels as (insert into stack_label (stack_id, label) select id, $1 from made)
       insert into deployment (id, stack_id, revision, checksum, size, object_count, kinds, created_by)
       select gen_random_uuid(), id, 1, $3, $4, 1, '{v1/ConfigMap}', 'test' from made`,
      [label, count, checksum, bytes.length],
    );
    await tx.sql(
      `update stack set current_deployment = d.id from deployment d where d.stack_id = stack.id and current_deployment is null`,
    );
  });
}

const bytesOf = async (agent: TestAgent, checksums: Uint8Array[]) => {
  const chunks: { checksum: string; size: number; last: boolean }[] = [];
  const found = new Map<string, Buffer[]>();
  for await (const { checksum, data, last } of agent.client.agent.getManifests({
    incarnation: agent.incarnation,
    checksums,
  })) {
    const hex = Buffer.from(checksum).toString('hex');
    found.set(hex, [...(found.get(hex) ?? []), Buffer.from(data)]);
    chunks.push({ checksum: hex, size: data.length, last });
  }
  return { chunks, manifests: new Map([...found].map(([hex, parts]) => [hex, Buffer.concat(parts)])) };
};

pulls('gives 6,000 stacks in pages that are bound to one digest', async () => {
  await makeStacks('many', 6_000);
  const agent = await startTestAgent(test, { name: 'wide', labels: ['many'] });
  const pulled = await agent.pull();
  assert.is(pulled.entries.length, 6_000);
  assert.is(pulled.pages, 2 /* the digest over all of them was checked */);
  assert.is(new Set(pulled.entries.map(({ stackId }) => stackId)).size, 6_000);
  const first = await agent.client.agent.pullTargetState({ incarnation: agent.incarnation });
  await admin.pauseAgent({ agent: 'wide' });
  await admin.resumeAgent({ agent: 'wide' });
  const { incarnation } = agent;
  const { entries } = await agent.client.agent.pullTargetState({ incarnation, pageToken: first.nextPageToken });
  assert.is(first.entries.length + entries.length, 6_000, 'the same state again has the same pages');
  await broker.submitDeployment({ stack: 'many-1', manifest: configMap('many', 'b') });
  await eventually(async () =>
    refused(
      agent.client.agent.pullTargetState({ incarnation, pageToken: first.nextPageToken }),
      Code.Aborted,
      'pull again',
    ),
  );
  for (const pageToken of ['x', `${'0'.repeat(64)}.5`])
    await refused(agent.client.agent.pullTargetState({ incarnation, pageToken }), Code.Aborted);
});

pulls('serves manifests of own placements only, in chunks', async () => {
  const [mine, other] = [
    await startTestAgent(test, { name: 'mine', labels: ['m'] }),
    await startTestAgent(test, { name: 'other' }),
  ];
  await broker.createStack({ name: 'big', labels: ['m'] });
  await broker.submitDeployment({ stack: 'big', manifest: configMap('big', 'a', 1_500_000) });
  await broker.createStack({ name: 'small', labels: ['m'] });
  await broker.submitDeployment({ stack: 'small', manifest: configMap('small') });
  const pulled = await eventually(async () => {
    const now = await mine.pull();
    return now.entries.length === 2 && now;
  });
  const [big, small] = ['big', 'small'].map((name) => pulled.entries.find(({ stack }) => stack === name));
  assert.ok(big && small);
  assert.equal(
    [...pulled.inline.keys()],
    [Buffer.from(small.checksum).toString('hex')],
    'what is small comes with the page',
  );
  const held = await mine.pull({ have: [small.checksum] });
  assert.is(held.inline.size, 0);
  const { chunks, manifests } = await bytesOf(mine, [big.checksum, small.checksum]);
  for (const [hex, data] of manifests) assert.is(createHash('sha256').update(data).digest('hex'), hex);
  assert.is(manifests.size, 2);
  assert.ok(chunks.every(({ size }) => size <= 256 << 10));
  assert.equal(chunks.filter(({ last }) => last).length, 2);
  await refused(bytesOf(other, [big.checksum]), Code.NotFound);
  await refused(bytesOf(mine, [small.checksum, Buffer.alloc(32, 7)]), Code.NotFound, '0707');
  await admin.updateAgent({ agent: 'mine', removeLabels: ['m'] });
  await refused(bytesOf(mine, [big.checksum]), Code.NotFound);
});

pulls('answers a current digest without the database, and nothing when that is gone', async () => {
  const proxy = await startDatabaseProxy(test.postgres.url);
  const far = await startTestBroker({
    postgres: test.postgres,
    config: { databaseUrl: proxy.url, databaseSchema: test.config.databaseSchema },
  });
  try {
    const agent = await startTestAgent(test, { name: 'idle', url: far.url });
    const { digest, epoch } = await agent.pull();
    await agent.pull({ digest, epoch, order: 1n });
    const thaw = proxy.freeze();
    for (let times = 0; times < 50; times += 1)
      assert.is((await agent.pull({ digest, epoch, order: 1n })).kind, TargetStateKind.UNCHANGED);
    const { incarnation } = agent;
    const waiting = agent.client.agent.pullTargetState({ incarnation, digest, wait: { seconds: 7n } });
    const lost = refused(waiting, Code.Unavailable);
    await delay(3_500);
    // Memory is not trusted any more; the read that is tried instead is given up when the database counts as gone.
    const began = performance.now();
    await refused(agent.pull({ digest }), Code.Unavailable);
    assert.ok(performance.now() - began < 20_000);
    for (const call of [
      () => agent.pull({ digest }),
      () => agent.client.agent.heartbeat({ incarnation }),
      () => test.client(undefined, { url: far.url }).broker.whoAmI({}),
    ])
      await refused(call(), Code.Unavailable);
    await lost;
    thaw();
    await eventually(async () => (await agent.pull({ digest })).kind === TargetStateKind.UNCHANGED, 60_000);
  } finally {
    await far.close();
    await proxy.close();
  }
});

pulls('survives callers that go away while the database is slow', async () => {
  const proxy = await startDatabaseProxy(test.postgres.url);
  const slow = await startTestBroker({
    postgres: test.postgres,
    config: { databaseUrl: proxy.url, databaseSchema: test.config.databaseSchema },
  });
  try {
    const agent = await startTestAgent(test, { name: 'hasty', url: slow.url });
    const { digest } = await agent.pull();
    await admin.updateAgent({ agent: 'hasty', addLabels: ['x'] });
    await delay(300);
    const read = proxy.holdAnswers('target-index');
    const leave = new AbortController();
    const { incarnation } = agent;
    const asked = agent.client.agent.pullTargetState(
      { incarnation, digest, wait: { seconds: 30n } },
      { signal: leave.signal },
    );
    const left = refused(asked, Code.Canceled);
    await read.asked;
    leave.abort();
    await left;
    read.release();
    assert.is((await agent.pull()).kind, TargetStateKind.INDEX);
  } finally {
    await slow.close();
    await proxy.close();
  }
});

pulls('reads woken agents in sets', async () => {
  const proxy = await startDatabaseProxy(test.postgres.url);
  const counted = await startTestBroker({
    postgres: test.postgres,
    config: { databaseUrl: proxy.url, databaseSchema: test.config.databaseSchema },
  });
  try {
    const fleet: TestAgent[] = [];
    for (let at = 0; at < 60; at += 1)
      fleet.push(await startTestAgent(test, { name: `fleet-${at}`, labels: ['fleet'], url: counted.url }));
    await broker.createStack({ name: 'fleet', labels: ['fleet'] });
    await delay(300);
    const waiting: Promise<PullTargetStateResponse>[] = [];
    for (const { client, incarnation, pull } of fleet) {
      const { digest } = await pull();
      waiting.push(client.agent.pullTargetState({ incarnation, digest, wait: { seconds: 60n } }));
    }
    await delay(300);
    const reads = proxy.countSent('target-index');
    await broker.submitDeployment({ stack: 'fleet', manifest: configMap('fleet') });
    const answers = await Promise.all(waiting);
    assert.ok(answers.every(({ kind, entries }) => kind === TargetStateKind.INDEX && entries[0]?.revision === 1));
    assert.ok(reads() <= 5, `${reads()} reads`);
  } finally {
    await counted.close();
    await proxy.close();
  }
});

pulls.run();
