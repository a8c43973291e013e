import { Code } from '@connectrpc/connect';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { eventually, refused, startTestBroker } from './broker.ts';

const test = await startTestBroker({ brokers: 2 });
const brokers = suite('test brokers');
brokers.after(() => test.close());

brokers('share their state', async () => {
  const [first, second] = test.urls;
  assert.is.not(first, second);
  const { agent } = await test.client().admin.createAgent({ name: 'edge' });
  const seen = await test.client(undefined, { url: second }).admin.getAgent({ agent: 'edge' });
  assert.is(seen.agent?.id, agent?.id);
});

brokers('keep the address and the admin key over a restart', async () => {
  await test.restart(1);
  const { broker } = test.client(undefined, { url: test.urls[1] });
  await eventually(async () => broker.whoAmI({}));
});

brokers('have separate installations on one database server', async () => {
  const other = await startTestBroker({ postgres: test.postgres });
  try {
    await refused(other.client(test.adminPak).broker.whoAmI({}), Code.Unauthenticated);
    const { agents } = await other.client().admin.listAgents({});
    assert.is(agents.length, 0);
  } finally {
    await other.close();
  }
});

brokers('never log a key', () => {
  assert.ok(test.logged.length > 0);
  assert.not.match(test.logged.join(''), test.adminPak);
});

brokers.run();
