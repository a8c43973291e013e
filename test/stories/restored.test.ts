import { Code } from '@connectrpc/connect';
import type pg from 'pg';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { openMigrated } from '../../broker/open-store.ts';
import { beginEpoch } from '../../broker/store/installation.ts';
import { Outcome, Receipt } from '../../gen/brokkr/v1/event_pb.ts';
import { PlacementPhase, PlacementState } from '../../gen/brokkr/v1/placement_pb.ts';
import { type TargetEntry, TargetStateKind } from '../../gen/brokkr/v1/target_state_pb.ts';
import { configMap, startTestAgent } from '../agents.ts';
import { eventually, refused, startTestBroker } from '../broker.ts';
import { openSqlSession } from '../tools/database-session.ts';

const test = await startTestBroker();
const { admin, broker } = test.client();
const story = suite('a restored database');
story.after(() => test.close());

/** Runs SQL in the installation's schema, as an operator would. */
async function runAsOperator<T>(work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = await openSqlSession(test);
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

const tablesSql = `select relname as name from pg_class where relnamespace = current_schema()::regnamespace and relkind in ('r', 'p') and not relispartition`;

/** Copies every row and the sequence into another schema. */
const dump = () =>
  runAsOperator(async (client) => {
    await client.query('drop schema if exists backup cascade');
    await client.query('create schema backup');
    const { rows } = await client.query<{ name: string }>(tablesSql);
    for (const { name } of rows) await client.query(`create table backup.${name} as table ${name}`);
    await client.query('create table backup.orders as select last_value from order_seq');
  });

/** Restores the copies, as a restore into the same cluster does. */
const restore = () =>
  runAsOperator(async (client) => {
    await client.query('set session_replication_role = replica');
    const { rows } = await client.query<{ name: string }>(tablesSql);
    await client.query(`truncate ${rows.map(({ name }) => name).join(', ')}`);
    for (const { name } of rows) {
      const columns = await client.query<{ names: string }>(
        `select string_agg(quote_ident(attname), ', ' order by attnum) as names from pg_attribute
         where attrelid = $1::regclass and attnum > 0 and not attisdropped`,
        [name],
      );
      const names = columns.rows[0]?.names;
      await client.query(`insert into ${name} (${names}) overriding system value select ${names} from backup.${name}`);
    }
    await client.query(`select setval('order_seq', (select last_value from backup.orders))`);
  });

const phaseOf = async (stack: string) => (await broker.listPlacements({ stack })).placements[0]?.phase;
const heldBy = (entries: readonly TargetEntry[]) =>
  entries.map(({ stackId, deploymentId, order }) => ({ stackId, deploymentId, order }));
const highest = (entries: readonly TargetEntry[]) =>
  entries.reduce((most, { order }) => (order > most ? order : most), 0n);

async function createFixture(name: string) {
  const [kept, again] = [`${name}-kept`, `${name}-again`];
  const agent = await startTestAgent(test, { name, labels: [kept, again] });
  for (const stack of [kept, again]) {
    await broker.createStack({ name: stack, labels: [stack] });
    await broker.submitDeployment({ stack, manifest: configMap(stack, 'one') });
  }
  await agent.reconcile();
  await admin.updateAgent({ agent: name, removeLabels: [again] });
  await eventually(async () => (await agent.removingStacks()).includes(again));
  return { agent, kept, again };
}

story('by an older dump deletes nothing unconfirmed, and an agent that is ahead stays there', async () => {
  const { agent, kept, again } = await createFixture('witness');
  const epoch = (await agent.pull()).epoch;
  await dump();
  // After the dump, the removal is withdrawn and both stacks get new revisions.
  await admin.updateAgent({ agent: 'witness', addLabels: [again] });
  for (const stack of [kept, again]) await broker.submitDeployment({ stack, manifest: configMap(stack, 'two') });
  const ahead = await eventually(async () => {
    const pulled = await agent.pull();
    return pulled.entries.every(({ revision, state }) => revision === 2 && state === PlacementState.ACTIVE) && pulled;
  });
  await agent.reconcile();
  await test.restart(0, restore);

  const seen = { digest: ahead.digest, epoch, order: highest(ahead.entries) };
  const after = await eventually(() => agent.pull(seen));
  assert.is(after.kind, TargetStateKind.INDEX, 'the first pull is a full one');
  const state = await eventually(async () => {
    const pulled = await agent.pull(seen);
    return pulled.epoch > epoch && pulled;
  });
  const removal = state.entries.find(({ stack }) => stack === again);
  assert.equal([removal?.state, removal?.held], [PlacementState.REMOVING, true]);
  assert.is(await phaseOf(again), PlacementPhase.HELD);
  await agent.report(removal!, Outcome.HELD, '3 objects would be deleted');
  const explained = await broker.explainPlacement({ agent: 'witness', stack: again });
  assert.match(explained.summary, 'waits for confirm-removal');
  assert.match(explained.summary, '3 objects would be deleted');
  assert.is(explained.placement?.message, '3 objects would be deleted');
  const older = state.entries.find(({ stack }) => stack === kept);
  assert.ok(older && older.order < seen.order);
  await agent.report(older, Outcome.AHEAD, 'holds a later order');
  assert.is(await phaseOf(kept), PlacementPhase.AHEAD);
  // Repeated starts change nothing, and begin no further epoch.
  for (let times = 0; times < 3; times += 1) {
    const pulled = await agent.pull({ ...seen, epoch: state.epoch });
    assert.is(pulled.epoch, state.epoch);
    assert.ok(pulled.entries.every(({ state, held }) => state === PlacementState.ACTIVE || held));
  }
  // A later submission exceeds all orders that the agent has seen; a confirmation lets the removal continue.
  await broker.submitDeployment({ stack: kept, manifest: configMap(kept, 'three') });
  const moved = await eventually(async () => {
    const entry = await agent.entry(kept);
    return entry.deploymentId !== older.deploymentId && entry;
  });
  assert.ok(moved.order > seen.order);
  await refused(admin.confirmRemoval({ agent: 'witness', stack: again, generation: 1n }), Code.Aborted);
  await admin.confirmRemoval({ agent: 'witness', stack: again, generation: removal?.generation ?? 0n });
  await eventually(async () => {
    const entry = await agent.entry(again);
    return !entry.held && entry.confirmed;
  });
});

story('that nobody declares is noticed under a running broker, before an agent is told anything of it', async () => {
  const { agent, kept, again } = await createFixture('undeclared');
  const { epoch } = await agent.pull();
  await dump();
  // After the dump the stack is placed again: the removal in the dump would delete what is in use.
  await admin.updateAgent({ agent: 'undeclared', addLabels: [again] });
  await eventually(async () => (await agent.activeStacks()).includes(again));
  await agent.reconcile();
  await restore();
  // Something that happens after the restore has the broker read the agent's state again.
  await admin.updateAgent({ agent: 'undeclared', addLabels: ['another'] });
  const afterwards = await eventually(async () => {
    const pulled = await agent.pull();
    const entry = pulled.entries.find(({ stack }) => stack === again);
    if (entry?.state === PlacementState.REMOVING) assert.ok(entry.held, 'a removal is held when it is first told');
    return entry?.state === PlacementState.REMOVING && pulled;
  });
  assert.ok(afterwards.epoch > epoch);
  assert.is(await phaseOf(again), PlacementPhase.HELD);
  assert.is(await phaseOf(kept), PlacementPhase.APPLIED);
  assert.is((await agent.pull()).epoch, afterwards.epoch, 'it is noticed once');
  for (const statement of ['vacuum full installation', 'vacuum freeze installation'])
    await runAsOperator((client) => client.query(statement));
  await test.restart(0, async () => {});
  await admin.updateAgent({ agent: 'undeclared', addLabels: ['more'] });
  assert.is((await eventually(() => agent.pull())).epoch, afterwards.epoch, 'what rewrites the table is no restore');
});

story('is detected by an unknown deployment, and a confirmation moves the agent', async () => {
  const { agent, kept } = await createFixture('finder');
  const epoch = (await agent.pull()).epoch;
  await dump();
  await broker.submitDeployment({ stack: kept, manifest: configMap(kept, 'two') });
  const ahead = await eventually(async () => {
    const pulled = await agent.pull();
    return pulled.entries.some(({ revision }) => revision === 2) && pulled;
  });
  await test.restart(0, async () => {
    await restore();
    // Others have used up orders since, so the order alone proves nothing.
    await runAsOperator((client) => client.query(`select setval('order_seq', 1000000)`));
  });
  const began = await eventually(() => agent.start({ held: heldBy(ahead.entries), epoch }));
  assert.ok(began > epoch);
  assert.is(
    await agent.start({ held: heldBy(ahead.entries), epoch: began }),
    began,
    'the same finding begins no second epoch',
  );
  const entry = await agent.entry(kept);
  await agent.report(entry, Outcome.AHEAD);
  assert.is(await phaseOf(kept), PlacementPhase.AHEAD);
  await admin.confirmRemoval({ agent: 'finder', stack: kept, generation: entry.generation });
  const moved = await eventually(async () => {
    const now = await agent.entry(kept);
    return now.generation > entry.generation && now;
  });
  assert.ok(moved.order > highest(ahead.entries));
  assert.is(await phaseOf(kept), PlacementPhase.PENDING);
});

story('accepts the reports of an agent whose start it has lost', async () => {
  const { agent, kept } = await createFixture('restarted');
  for (let times = 0; times < 20; times += 1) await agent.report(await agent.entry(kept), Outcome.FAILED);
  await dump();
  await agent.start();
  await test.restart(0, restore);
  const { receipts } = await eventually(async () =>
    agent.report(await agent.entry(kept), Outcome.APPLIED, '', { at: 1n }),
  );
  assert.equal(
    receipts.map(({ receipt }) => receipt),
    [Receipt.ACCEPTED],
  );
  assert.is(await phaseOf(kept), PlacementPhase.APPLIED);
  assert.is(
    (await agent.report(await agent.entry(kept), Outcome.APPLIED, '', { at: 1n })).receipts[0]?.receipt,
    Receipt.DUPLICATE,
  );
});

story('another cluster, timeline or an operator begins a new epoch, for brokers that run too', async () => {
  const { agent, again } = await createFixture('elsewhere');
  const before = (await agent.pull()).epoch;
  await test.restart(0, () =>
    runAsOperator(async (client) => void (await client.query(`update installation set system_identifier = '1'`))),
  );
  const other = await eventually(async () => (await agent.pull()).epoch);
  assert.is(other, before + 1n);
  assert.ok((await agent.entry(again)).held);
  // Restored under a running broker: its connections break, and the new ones check.
  await runAsOperator(async (client) => {
    await client.query('update installation set timeline = 99');
    await client.query('select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid()');
  });
  await eventually(async () => (await agent.pull()).epoch === before + 2n);
  const { digest } = await agent.pull();
  const waiting = agent.client.agent.pullTargetState({
    incarnation: agent.incarnation,
    digest,
    wait: { seconds: 30n },
  });
  const db = await openMigrated(test.config);
  await db.transact((tx) => beginEpoch(tx, 'restored', { epoch: 0n, order: 0n }));
  await db.close();
  assert.is((await waiting).epoch, before + 3n);
});

story('cannot be faked by an agent that presents what no broker issued', async () => {
  const { agent, kept } = await createFixture('liar');
  const { epoch } = await agent.pull();
  for (const lie of [{ epoch: 2n ** 62n }, { epoch: 2n ** 64n - 1n }, { order: 2n ** 62n }, { order: 2n ** 64n - 1n }])
    await refused(agent.pull(lie), Code.InvalidArgument, 'beyond all');
  const { stackId, deploymentId } = await agent.entry(kept);
  const held = [{ stackId, deploymentId, order: 2n ** 63n }];
  await refused(agent.start({ held }), Code.InvalidArgument, 'beyond all');
  assert.is((await agent.pull({ epoch })).epoch, epoch);
});

story('is detected by a role without special rights', async () => {
  await runAsOperator(async (client) => {
    await client.query('create role plain login');
    await client.query('set role plain');
    const { rows } = await client.query(
      `select (select system_identifier from pg_control_system())::text as id, pg_walfile_name(pg_current_wal_lsn()) as file`,
    );
    assert.ok(rows[0]?.id && rows[0]?.file);
  });
});

story('lets one agent begin one epoch an hour, so that it cannot keep holding all removals', async () => {
  const agent = await startTestAgent(test, { name: 'crier' });
  const present = (order: bigint) => agent.client.agent.pullTargetState({ incarnation: agent.incarnation, order });
  const { epoch: before } = await agent.pull();
  await present(10n ** 9n);
  const epoch = await eventually(async () => {
    const now = (await agent.pull()).epoch;
    return now > before && now;
  });
  await refused(present(10n ** 10n), Code.FailedPrecondition, 'has begun an epoch within the hour');
  assert.is((await agent.pull()).epoch, epoch, 'no other epoch has begun');
});

story.run();
