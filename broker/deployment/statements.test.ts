import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { startTestBroker, startTestPostgres } from '../../test/broker.ts';
import { countStatements, totalOf } from '../../test/tools/statements.ts';

await using owned = new AsyncDisposableStack();
const postgres = await startTestPostgres(owned);
const counter = await countStatements(postgres);
const test = await startTestBroker({ postgres });
const { admin, broker } = test.client();
const runs = 20;
let names = 0;
const manifest = () =>
  Buffer.from(JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: `c${++names}` } }));
const resources = owned.move();

/** Leaves out what wakes the brokers after a commit, which changes that come together share, and what they read then. */
const ofCaller = (statements: ReadonlyMap<string, number>) =>
  new Map(
    [...statements].filter(([query]) => !/^select pg_(current_snapshot|notify)|^select distinct agent_id/.test(query)),
  );

const statements = suite('the statements of a deployment');
statements.after(async () => {
  await test.close();
  await counter.close();
  await resources.disposeAsync();
});

statements('are at most 8 for a submission, however many deployments and agents its stack has', async () => {
  const { pak } = await admin.createGenerator({ name: 'ci', quota: { deploymentsPerStack: 10 } });
  const mine = test.client(pak).broker;
  await mine.createStack({ name: 'web', labels: ['a'] });
  for (const name of ['a1', 'a2', 'a3']) await admin.createAgent({ name, labels: ['a'], generators: ['ci'] });
  const submit = (run: number) => mine.submitDeployment({ stack: 'web', manifest: manifest(), requestId: `r-${run}` });
  const found = ofCaller(await counter.ofOneRun(runs, submit));
  assert.ok(totalOf(found) <= 8, [...found].join('\n'));
  assert.ok(totalOf(found) >= 6, 'the statements were counted');
});

statements('are at most 8 for an admin, too, and fewer for an unchanged submission', async () => {
  await broker.createStack({ name: 'base' });
  const changed = await counter.ofOneRun(runs, () =>
    broker.submitDeployment({ stack: 'system/base', manifest: manifest() }),
  );
  assert.ok(totalOf(ofCaller(changed)) <= 8, [...ofCaller(changed)].join('\n'));
  const same = manifest();
  await broker.submitDeployment({ stack: 'system/base', manifest: same });
  const unchanged = await counter.ofOneRun(runs, () =>
    broker.submitDeployment({ stack: 'system/base', manifest: same }),
  );
  assert.ok(totalOf(ofCaller(unchanged)) <= 7, [...ofCaller(unchanged)].join('\n'));
});

statements.run();
