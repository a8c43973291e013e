import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { startTestBroker, startTestPostgres } from '../../test/broker.ts';
import { countStatements, totalOf } from '../../test/tools/statements.ts';

await using owned = new AsyncDisposableStack();
const postgres = await startTestPostgres(owned);
const counter = await countStatements(postgres);
const test = await startTestBroker({ postgres });
const resources = owned.move();
const { admin } = test.client();
const { pak } = await admin.createAgent({ name: 'edge' });
const { agent } = test.client(pak);

/** Leaves out what wakes the brokers after the commit, and what they read then. */
const isOfFeed = (query: string) => /pg_current_snapshot|pg_notify|^select a\.id as "agentId"/.test(query);

const starts = suite('the start of an agent');
starts.after(async () => {
  await test.close();
  await counter.close();
  await resources.disposeAsync();
});

starts('takes at most 8 statements', async () => {
  const found = await counter.ofOneRun(20, () => agent.startAgent({ clusterId: 'c' }));
  const ofCall = new Map([...found].filter(([query]) => !isOfFeed(query)));
  assert.ok(totalOf(ofCall) <= 8, [...ofCall].join('\n'));
  assert.ok(totalOf(ofCall) >= 6, 'the statements were counted');
});

starts.run();
