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

/** As many calls at once as there are connections. */
const useAll = () =>
  Promise.all(
    Array.from({ length: 10 }, async () => {
      await db.transact(({ sql }) => sql('select pg_sleep(0.1)'));
      await db.sql('select pg_sleep(0.1)');
    }),
  );
const counts = () => db.pools().map(({ total }) => total);

pools('are new soon after the server went without a word, long before the time of a statement is over', async () => {
  await useAll();
  assert.equal(counts(), [10, 10]);
  const losses = feed.losses();
  proxy.dropSilently();
  const outcomes = await Promise.allSettled(Array.from({ length: 10 }, () => db.sql('select 1')));
  assert.ok(outcomes.every(({ status }) => status === 'rejected'));
  await eventually(useAll, 25_000);
  assert.is(feed.losses(), losses + 1);
});

pools('stay as they are when only the change feed lost its connection', async () => {
  await useAll();
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
