import pg from 'pg';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { startTestAgent } from '../../../test/agents.ts';
import { startTestBroker } from '../../../test/broker.ts';
import { testCli } from '../../../test/cli.ts';

const tenants = suite('cli: tenants and the audit log');
const broker = await startTestBroker();
const cli = testCli(broker);
const client = broker.client();

tenants.after(async () => {
  cli.close();
  await broker.close();
});

let nameCount = 0;
const freshName = () => `t${++nameCount}`;
const limitsOf = async (name: string) => {
  const { rules, quota } = (await client.admin.getGenerator({ generator: name })).generator!;
  const { allowNamespaces, denyNamespaces, allowKinds, denyKinds, clusterScoped } = rules!;
  const { stacks, deploymentsPerStack, manifestBytes } = quota!;
  return {
    rules: { allowNamespaces, denyNamespaces, allowKinds, denyKinds, clusterScoped },
    quota: [stacks, deploymentsPerStack, manifestBytes],
  };
};

tenants('limits a generator from its creation, and shows the limits', async () => {
  const name = freshName();
  const options =
    '--allow-namespace shop-* --allow-namespace web --deny-kind Secret --cluster-scoped --quota-stacks 3 --quota-bytes 500Mi';
  await cli.done(`create generator ${name} ${options}`);
  assert.equal(await limitsOf(name), {
    rules: {
      allowNamespaces: ['shop-*', 'web'],
      denyNamespaces: [],
      allowKinds: [],
      denyKinds: ['Secret'],
      clusterScoped: true,
    },
    quota: [3, 0, 500n << 20n],
  });
  const output = await cli.done(`describe generator ${name}`);
  for (const line of [
    /Allowed namespaces: +shop-\*, web\n/,
    /Allowed kinds: +any\n/,
    /Denied kinds: +Secret\n/,
    /Cluster-scoped objects: +allowed\n/,
    /Maximum stacks: +3\n/,
    /Revisions per stack: +100 \(default\)\n/,
    /Maximum manifest size: +500Mi\n/,
  ])
    assert.match(output, line);
  assert.match(await cli.done('describe generator system'), /Limits: +none/);
});

tenants('changes the given limits, and keeps the others', async () => {
  const name = freshName();
  await cli.done(`create generator ${name} --allow-namespace web --deny-kind Secret --quota-stacks 3`);
  await cli.done(`update generator ${name} --deny-kind apps/* --quota-deployments 7`);
  await cli.done(`update generator ${name} --cluster-scoped`);
  assert.equal(await limitsOf(name), {
    rules: {
      allowNamespaces: ['web'],
      denyNamespaces: [],
      allowKinds: [],
      denyKinds: ['apps/*'],
      clusterScoped: true,
    },
    quota: [3, 7, 0n],
  });
  await cli.done(['update', 'generator', name, '--allow-namespace', '', '--no-cluster-scoped', '--quota-stacks', '0']);
  const { rules, quota } = await limitsOf(name);
  assert.equal(
    [rules.allowNamespaces, rules.denyKinds, rules.clusterScoped, quota],
    [[], ['apps/*'], false, [0, 7, 0n]],
  );
  await cli.fails(1, `update generator ${name} --allow-kind config-map`);
  assert.is((await cli.run(`update generator ${name} --quota-bytes many`)).code, 2);
  assert.match(await cli.fails(1, `update generator ${name} --quota-stacks 9 --etag old`), 'changed');
});

tenants('reports a rejected object in one line', async () => {
  const name = freshName();
  const { pak } = await client.admin.createGenerator({ name, rules: { allowNamespaces: ['web'] } });
  const own = testCli(broker, pak);
  try {
    const stdin = 'apiVersion: v1\nkind: ConfigMap\nmetadata: { name: c, namespace: kube-system }\n';
    assert.match(await own.fails(1, 'apply -f - --stack shop', { stdin }), 'namespace kube-system is not among');
  } finally {
    own.close();
  }
});

tenants('sets the account that an agent impersonates, and keeps it when a request is approved again', async () => {
  const [agent, generator] = [freshName(), freshName()];
  const asking = await startTestAgent(broker, { name: agent });
  await cli.done(`create generator ${generator} --registration approve`);
  await asking.client.agent.registerGenerator({ generator, incarnation: asking.incarnation });
  assert.match(await cli.done(`register ${agent} ${generator} --service-account web/deployer`), ', as web/deployer\n');
  assert.match(await cli.done(`get registrations --agent ${agent}`), / registered +web\/deployer /);
  assert.match(await cli.done(`approve ${agent} ${generator}`), ', as web/deployer\n');
  assert.not.match(await cli.done(['register', agent, generator, '--service-account', '']), ', as ');
  await cli.fails(1, `register ${agent} ${generator} --service-account deployer`);
});

tenants('lists audit entries, newest first and filtered', async () => {
  const name = freshName();
  const { pak } = await client.admin.createGenerator({ name });
  const own = testCli(broker, pak);
  try {
    await own.done('create stack shop');
    await own.done('label stack shop mine');
    await own.fails(1, 'get paks');
    const [last = '', first = ''] = (await cli.done(`get audit --actor ${name} --kind stack`)).split('\n').slice(1);
    assert.match(last, new RegExp(`generator ${name} +UpdateStack +stack ${name}/shop +done +127\\.0\\.0\\.1`));
    assert.match(first, 'CreateStack');
    const entries = async (filter: string) => JSON.parse(await cli.done(`get audit ${filter} -o json`)).entries;
    const only = await entries(`--object ${name}/shop --action CreateStack`);
    assert.equal([only.length, only[0].actor.name, only[0].outcome], [1, name, 'AUDIT_OUTCOME_DONE']);
    assert.is((await entries(`--actor ${name} --since 1h --until 30m`)).length, 0);
    assert.ok((await entries(`--actor ${name} --since 1h`)).length >= 2);
    assert.is((await entries(`--since 2001-02-03T04:05:06Z --limit 1`)).length, 1);
    assert.match(await cli.done(`get audit --denied --actor ${name}`), /ListPaks .* denied \w+/);
    for (const wrong of ['yesterday', '2001-02-03T04:05:06']) {
      const { code, stderr } = await cli.run(`get audit --since ${wrong}`);
      assert.is(code, 2);
      assert.match(stderr, 'use a duration or a time such as 24h');
    }
    assert.match(await own.fails(1, 'get audit'), 'brokkr whoami shows whose key this is');
  } finally {
    own.close();
  }
});

tenants('exports the whole audit log, one entry per line, oldest first', async () => {
  // More than one page.
  for (let nameCount = 0; nameCount < 300; nameCount += 1) {
    await client.broker.createStack({ name: `page-${nameCount}` });
    await client.broker.updateStack({ stack: `page-${nameCount}`, addLabels: ['x'] });
  }
  const entries = (await cli.done('audit export'))
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  assert.ok(entries.length > 600, String(entries.length));
  const ids = entries.map(({ id }) => Number(id));
  assert.equal(
    ids,
    [...new Set(ids)].sort((left, right) => left - right),
  );
  const some = (await cli.done('audit export --action CreateStack --object page-7')).trimEnd().split('\n');
  assert.is(some.length, 1);
});

tenants('verifies the audit log until someone changes it', async () => {
  const output = await cli.done('audit verify');
  assert.match(output, /Intact: +yes\n/);
  assert.match(output, /Head: +[0-9a-f]{64}\n/);
  assert.is(JSON.parse(await cli.done('audit verify -o json')).intact, true);
  const database = new pg.Client({ connectionString: broker.postgres.url });
  await database.connect();
  try {
    const { databaseSchema: schema } = broker.config;
    const { rows } = await database.query(`select unnest(ids) as id from ${schema}.audit_seal order by 1 limit 1`);
    await database.query(`alter table ${schema}.audit disable trigger user`);
    await database.query(`update ${schema}.audit set actor_name = 'nobody' where id = $1`, [rows[0].id]);
    const { code, stdout, stderr } = await cli.run('audit verify');
    assert.is(code, 1);
    assert.match(stdout, /Intact: +no\n/);
    assert.match(stderr, 'error: the audit log is not intact: ');
    assert.match(stderr, String(rows[0].id));
    assert.is((await cli.run('audit verify -o json')).code, 1);
  } finally {
    await database.end();
  }
});

tenants('creates an admin key with an expiry, and shows when it was used', async () => {
  const name = freshName();
  const pak = (await cli.done(`create admin-pak ${name} --read-only --expires 2099-01-31T12:00:00Z`)).trim();
  assert.is((await cli.run('whoami', { env: { BROKKR_PAK: pak } })).code, 0);
  const row = await cli.done(`get paks --owner ${name}`);
  assert.match(row, 'expires 2099-01-31T12:00:00Z');
  assert.match(await cli.fails(1, `create stack ${name}`, { env: { BROKKR_PAK: pak } }), 'whoami');
});

tenants.run();
