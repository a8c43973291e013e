import { setTimeout as delay } from 'node:timers/promises';
import pino from 'pino';
import { v7 as uuid } from 'uuid';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { eventually, startTestBroker } from '../../test/broker.ts';
import { openSqlSession } from '../../test/tools/database-session.ts';
import { openMigrated } from '../open-store.ts';
import { announce, type Change, startFeed } from './feed.ts';

const test = await startTestBroker();
const db = await openMigrated(test.config);
const feeds = suite('the change feed');
feeds.after(async () => {
  await db.close();
  await test.close();
});

const log = pino({ level: 'silent' });

async function follow() {
  const feed = await startFeed(db, log, async () => {});
  const seen: Change[] = [];
  let resets = 0;
  feed.subscribe({
    changed: (changes) => void seen.push(...changes),
    reset: () => {
      resets += 1;
    },
  });
  return { feed, refs: () => seen.map(({ ref }) => ref), resets: () => resets };
}

const insert = `insert into change (kind, ref) values ('agent', $1)`;

feeds('tells each change once, however long another transaction runs', async () => {
  const { feed, refs } = await follow();
  const raw = await openSqlSession(test);
  try {
    await raw.query('begin');
    const [late, undone] = [uuid(), uuid()];
    await raw.query(insert, [late]);
    await raw.query('savepoint s');
    await raw.query(insert, [undone]);
    await raw.query('rollback to savepoint s');
    const early = Array.from({ length: 20 }, () => uuid());
    for (const ref of early) {
      await db.transact((tx) => announce(tx, 'agent', [ref]));
      await eventually(() => refs().includes(ref));
    }
    assert.equal(refs(), early);
    await raw.query('commit');
    await eventually(() => refs().includes(late));
    await delay(1_500);
    assert.equal(refs(), [...early, late]);
  } finally {
    await raw.end();
    await feed.close();
  }
});

feeds('tells a burst in few reads, and a change without a notification within a second', async () => {
  const { feed, refs } = await follow();
  try {
    const many = Array.from({ length: 500 }, () => uuid());
    await Promise.all(many.map((ref) => db.transact((tx) => announce(tx, 'agent', [ref]))));
    await eventually(() => refs().length === 500);
    assert.equal([...refs()].sort(), [...many].sort());
    const silent = uuid();
    await db.sql(insert, [silent]);
    await eventually(() => refs().includes(silent));
  } finally {
    await feed.close();
  }
});

feeds('starts anew on a new connection, and is unhealthy while it has none', async () => {
  const { feed, resets, refs } = await follow();
  try {
    const raw = await openSqlSession(test);
    await raw.query(
      `select pg_terminate_backend(pid) from pg_stat_activity where query ~ 'pg_visible_in_snapshot' and pid <> pg_backend_pid()`,
    );
    await raw.end();
    await eventually(() => resets() === 1);
    assert.ok(feed.healthy());
    const ref = uuid();
    await db.transact((tx) => announce(tx, 'agent', [ref]));
    await eventually(() => refs().includes(ref));
    test.postgres.kill();
    await eventually(() => !feed.healthy(), 30_000);
    await eventually(() => !feed.available(), 30_000);
    await test.postgres.restart();
    await eventually(() => feed.healthy(), 30_000);
    assert.is(resets(), 2);
  } finally {
    await feed.close();
  }
});

feeds.run();
