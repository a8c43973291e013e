import pino from 'pino';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { eventually, startTestBroker } from '../../test/broker.ts';
import { startDatabaseProxy } from '../../test/tools/database-proxy.ts';
import { openStore } from '../open-store.ts';

const test = await startTestBroker();
const proxy = await startDatabaseProxy(test.postgres.url);
const { db, feed } = await openStore({ ...test.config, databaseUrl: proxy.url }, pino({ level: 'silent' }));
const pools = suite('the pools of connections');
pools.after(async () => {
  await feed.close();
  await db.close();
  await proxy.close();
  await test.close();
});

/** Runs ten queries on each pool at the same time. */
const queryAtOnce = () =>
  Promise.all(
    Array.from({ length: 10 }, async () => {
      await db.transact(({ sql }) => sql('select pg_sleep(0.1)'));
      await db.sql('select pg_sleep(0.1)');
    }),
  );
const counts = () => db.pools().map(({ total }) => total);

/** Opens all connections of both pools. A slow machine may reuse one before the last is open, so this repeats. */
const openAll = () =>
  eventually(async () => {
    await queryAtOnce();
    return counts().every((count) => count === 10);
  }, 60_000);

pools('reconnect soon after the server vanished silently, long before a statement times out', async () => {
  await openAll();
  assert.equal(counts(), [10, 10]);
  const losses = feed.losses();
  proxy.dropSilently();
  const outcomes = await Promise.allSettled(Array.from({ length: 10 }, () => db.sql('select 1')));
  assert.ok(outcomes.every(({ status }) => status === 'rejected'));
  await eventually(queryAtOnce, 25_000);
  assert.is(feed.losses(), losses + 1);
});

pools('keep their connections when only the change feed lost its own', async () => {
  await openAll();
  const losses = feed.losses();
  const long = db.transact(({ sql }) => sql<{ done: boolean }>('select true as done from pg_sleep(4)'));
  await db.sql(
    `select pg_terminate_backend(pid) from pg_stat_activity where query ~ 'pg_visible_in_snapshot' and pid <> pg_backend_pid()`,
  );
  await eventually(() => feed.losses() === losses + 1 && feed.healthy());
  assert.equal(await long, [{ done: true }]);
  assert.equal(counts(), [10, 10]);
});

pools.run();
