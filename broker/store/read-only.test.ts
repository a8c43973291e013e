import { Code } from '@connectrpc/connect';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { eventually, refused, startTestBroker } from '../../test/broker.ts';
import { openSqlSession } from '../../test/tools/database-session.ts';

const test = await startTestBroker();
const readOnly = suite('a database that becomes read-only');
readOnly.after(() => test.close());

const succeeds = (work: Promise<unknown>) =>
  work.then(
    () => true,
    () => false,
  );

readOnly('is unavailable and not ready, and is used again once it can be written', async () => {
  const { broker } = test.client();
  const isReady = async () => (await fetch(`${test.url}/readyz`)).ok;
  await broker.createStack({ name: 'before' });
  const session = await openSqlSession(test);
  const { rows } = await session.query<{ name: string }>('select current_database() as name');
  const setting = `alter database "${rows[0]?.name}" set default_transaction_read_only`;
  try {
    await session.query(`${setting} = on`);
    await session.query(
      'select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and backend_type = $1',
      ['client backend'],
    );
    await eventually(async () => !(await succeeds(broker.createStack({ name: 'during' }))), 60_000);
    await refused(broker.createStack({ name: 'during' }), Code.Unavailable, /./);
    await eventually(async () => !(await isReady()), 60_000);
    await session.query(`${setting} = off`);
    await eventually(isReady, 60_000);
    await eventually(() => succeeds(broker.createStack({ name: 'after' })), 60_000);
    await Promise.all(Array.from({ length: 20 }, (_, index) => broker.createStack({ name: `after-${index}` })));
    assert.equal(
      test.logged.filter((line) => line.includes('"a call failed"')),
      [],
    );
  } finally {
    await session.query(`${setting} = off`);
    await session.end();
  }
});

readOnly.run();
