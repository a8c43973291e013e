import pg from 'pg';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { startTestBroker } from '../../test/broker.ts';

const test = await startTestBroker();
const sql = new pg.Client({
  connectionString: test.postgres.url,
  options: `-c search_path=${test.config.databaseSchema}`,
});
await sql.connect();
const { broker } = test.client();
await broker.createStack({ name: 'web' });
const object = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a' } };
await broker.submitDeployment({ stack: 'web', manifest: Buffer.from(JSON.stringify(object)) });

const rows = suite('deployments and manifests');
rows.after(async () => {
  await sql.end();
  await test.close();
});

for (const table of ['deployment', 'manifest'] as const) {
  rows(`are never changed: the database refuses an update of any column of a ${table}`, async () => {
    const { rows: columns } = await sql.query<{ column_name: string }>(
      'select column_name from information_schema.columns where table_schema = current_schema() and table_name = $1',
      [table],
    );
    assert.ok(columns.length > 1);
    const before = await sql.query(`select * from ${table}`);
    assert.is(before.rows.length, 1);
    for (const { column_name: column } of columns) {
      const error = await sql.query(`update ${table} set ${column} = ${column}`).then(
        () => undefined,
        (reason: Error) => reason,
      );
      assert.match(error?.message ?? `${column} was updated`, `a ${table} row cannot be changed`);
    }
    assert.equal((await sql.query(`select * from ${table}`)).rows, before.rows);
  });
}

rows('keep a manifest that a deployment refers to', async () => {
  const error = await sql.query('delete from manifest').catch((reason: Error) => reason.message);
  assert.match(String(error), 'violates foreign key');
});

rows('have each revision once', async () => {
  const error = await sql
    .query(
      `insert into deployment (id, stack_id, revision, checksum, size, object_count, kinds, created_by)
       select gen_random_uuid(), stack_id, revision, checksum, size, object_count, kinds, created_by from deployment`,
    )
    .catch((reason: Error) => reason.message);
  assert.match(String(error), 'duplicate key');
});

rows.run();
