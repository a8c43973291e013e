import { createHash } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { openMigrated } from '../../broker/open-store.ts';
import { configMap, startTestAgent, type TestAgent } from '../agents.ts';
import { startTestBroker } from '../broker.ts';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;
const mebibyte = 1 << 20;

const test = await startTestBroker();
const db = await openMigrated(test.config);
const story = suite('cold agents');
story.after(async () => {
  await db.close();
  await test.close();
});

/** Inserts stacks with a label, each with a manifest of about `size` bytes, as submissions would. */
async function makeStacks(label: string, count: number, size: number): Promise<void> {
  await db.transact(async (tx) => {
    for (let at = 1; at <= count; at += 1) {
      const data = configMap(`${label}-${at}`, String(at), size);
      const checksum = createHash('sha256').update(data).digest();
      await tx.sql('insert into manifest (checksum, data) values ($1, $2)', [checksum, data]);
      await tx.sql(
        `with made as (
           insert into stack (id, generator_id, name, last_revision, current_order, current_deployment)
           values (gen_random_uuid(), (select id from generator where system), $1, 1, nextval('order_seq'), gen_random_uuid())
           returning id, current_deployment),
         labelled as (insert into stack_label (stack_id, label) select id, $2 from made)
         insert into deployment (id, stack_id, revision, checksum, size, object_count, kinds, created_by)
         select current_deployment, id, 1, $3, $4, 1, '{v1/ConfigMap}', 'test' from made`,
        [`${label}-${at}`, label, checksum, data.length],
      );
    }
  });
}

/** Returns the memory of this process outside the heap, where bytes are kept, after garbage collection. */
async function bytesHeld(): Promise<number> {
  collectGarbage();
  await delay(50);
  collectGarbage();
  return process.memoryUsage().arrayBuffers;
}

/**
 * Fetches manifests as an agent does, a hundred at a time, and verifies each; calls `atFirst` after the first chunk.
 */
async function fetchAll(
  agent: TestAgent,
  checksums: readonly Uint8Array[],
  atFirst: () => Promise<void>,
): Promise<number> {
  let total = 0;
  let first = true;
  for (let start = 0; start < checksums.length; start += 100) {
    const request = { incarnation: agent.incarnation, checksums: checksums.slice(start, start + 100) };
    let hash = createHash('sha256');
    for await (const { checksum, data, last } of agent.client.agent.getManifests(request)) {
      if (first) await atFirst();
      first = false;
      hash.update(data);
      total += data.length;
      if (!last) continue;
      assert.is(hash.digest('hex'), Buffer.from(checksum).toString('hex'));
      hash = createHash('sha256');
    }
  }
  return total;
}

story('with 200 stacks and 60 MiB of manifests gets all of it, while the broker holds little of it', async () => {
  await makeStacks('heavy', 200, 315_000);
  const agent = await startTestAgent(test, { name: 'heavy', labels: ['heavy'] });
  const pulled = await agent.pull();
  assert.is(pulled.entries.length, 200);
  assert.ok([...pulled.inline.values()].reduce((sum, data) => sum + data.length, 0) < mebibyte);
  const rest = pulled.entries
    .map(({ checksum }) => checksum)
    .filter((checksum) => !pulled.inline.has(Buffer.from(checksum).toString('hex')));
  const before = await bytesHeld();
  let held = 0;
  const total = await fetchAll(agent, rest, async () => {
    // A slow reader: unread manifests stay in the database.
    await delay(1_000);
    held = (await bytesHeld()) - before;
  });
  assert.ok(total > 59 * mebibyte, `${total} bytes`);
  assert.ok(held < 24 * mebibyte, `${Math.round(held / mebibyte)} MiB are held for a reader that pauses`);
  const again = await agent.pull({ have: rest.slice(0, 1_000) });
  assert.is(again.inline.size, pulled.inline.size);
});

story('with 1,000 stacks gets them in one go, small manifests with them', async () => {
  await makeStacks('broad', 1_000, 400);
  const agent = await startTestAgent(test, { name: 'broad', labels: ['broad'] });
  const pulled = await agent.pull();
  assert.is(pulled.entries.length, 1_000);
  assert.ok(pulled.inline.size > 500, `${pulled.inline.size} came with the pages`);
  for (const [hex, data] of pulled.inline) assert.is(createHash('sha256').update(data).digest('hex'), hex);
  const rest = pulled.entries
    .map(({ checksum }) => checksum)
    .filter((checksum) => !pulled.inline.has(Buffer.from(checksum).toString('hex')));
  await fetchAll(agent, rest, async () => {});
  await agent.reconcile();
  const counts = (await test.client().admin.getAgent({ agent: 'broad' })).agent?.placements;
  assert.equal([counts?.applied, counts?.pending], [1_000, 0]);
});

story.run();
