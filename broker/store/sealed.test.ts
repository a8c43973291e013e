import { randomBytes } from 'node:crypto';
import { Code } from '@connectrpc/connect';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { startTestAgent } from '../../test/agents.ts';
import { eventually, refused, startTestBroker } from '../../test/broker.ts';
import { openSession } from '../../test/sessions.ts';
import { reencrypt } from '../deployment/reencrypt.ts';
import { openMigrated } from '../open-store.ts';

const canary = 'canary-hunter2';
const keys = [randomBytes(32), randomBytes(32)] as const;
const test = await startTestBroker({ config: { encryptionKeys: [keys[0]] } });
const { broker } = test.client();
const db = await openMigrated(test.config);

const sealed = suite('with a key');
sealed.after(async () => {
  await db.close();
  await test.close();
});

/** How many rows have the canary in them, as text or as bytes. */
async function rowsWithCanary(): Promise<Record<string, number>> {
  const found: Record<string, number> = {};
  for (const table of ['telemetry', 'request']) {
    const [row] = await db.sql<{ count: number }>(
      `select count(*)::int as count from ${table} t where t::text ~ '${canary}|${Buffer.from(canary).toString('hex')}'`,
    );
    found[table] = row?.count ?? 0;
  }
  return found;
}

const submission = (revision: number) => ({
  stack: 'web',
  requestId: 'once',
  manifest: Buffer.from(
    JSON.stringify({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 's', namespace: 'default' },
      stringData: { [canary]: String(revision) },
    }),
  ),
});
const { stack } = await broker.createStack({ name: 'web', labels: ['web'] });
const stackId = stack?.id ?? '';
await broker.submitDeployment({ ...submission(0), requestId: '' });
const first = await broker.submitDeployment(submission(1));
const agent = await startTestAgent(test, { name: 'edge', labels: ['web'] });
await eventually(async () => (await agent.activeStacks()).includes('web'));
const session = await openSession(test, agent);
const line = { namespace: 'shop', pod: 'web-1', container: 'web', line: canary };
session.telemetry(1n, [{ stackId, item: { case: 'line', value: line } }]);
await eventually(() => session.received === 1n, 30_000);
await session.end();

const linesOf = async (client = broker) =>
  (await client.listPodLogs({ stack: stackId })).records.map(({ item }) =>
    item?.item.case === 'line' ? item.item.value.line : undefined,
  );

sealed('logs of pods and remembered answers are read through the API, and nowhere in the database', async () => {
  assert.equal(await linesOf(), [canary]);
  const again = await broker.submitDeployment(submission(1));
  assert.ok(again.replayed);
  assert.equal(again.changes, first.changes);
  assert.match(JSON.stringify(first.changes.map(({ fields }) => fields)), canary);
  assert.equal(await rowsWithCanary(), { telemetry: 0, request: 0 });
});

sealed('what was kept without one is read as before', async () => {
  const [{ key_id: keyId, sealed: bytes } = { key_id: '', sealed: null }] = await db.sql<{
    key_id: string;
    sealed: Buffer | null;
  }>('select key_id, sealed from telemetry');
  await db.sql(`update telemetry set text = 'from before', key_id = '', sealed = null`);
  assert.equal(await linesOf(), ['from before']);
  await db.sql(`update telemetry set text = '', key_id = $1, sealed = $2`, [keyId, bytes]);
  assert.equal(await linesOf(), [canary]);
});

sealed('what was encrypted with one that is gone is told to be so, and nothing fails for it', async () => {
  const config = { ...test.config, encryptionKeys: [keys[1], keys[0]] };
  const both = await openMigrated(config);
  await reencrypt(both).finally(() => both.close());
  const later = await startTestBroker({
    postgres: test.postgres,
    config: { ...config, encryptionKeys: [keys[1]] },
  });
  try {
    const client = later.client(test.adminPak).broker;
    assert.equal(await linesOf(client), ['<encrypted with a key that is not used any more>']);
    await refused(client.submitDeployment(submission(1)), Code.FailedPrecondition, 'this was done before');
  } finally {
    await later.close();
  }
});

sealed.run();
