import { Code } from '@connectrpc/connect';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { refused, startTestBroker } from '../test/broker.ts';

const test = await startTestBroker();
const early = suite('requests that are answered early');
early.after(() => test.close());

for (const protocol of ['grpc', 'grpc-web', 'connect'] as const) {
  early(`${protocol}: many large ones do not break the connection`, async () => {
    // The key of an agent may not submit, which the broker says before it reads the request.
    let { pak } = await test.client().admin.createAgent({ name: `agent-${protocol}` });
    const { broker, close } = test.client(undefined, { protocol, pak: () => pak });
    const submit = () => broker.submitDeployment({ stack: 'none', manifest: Buffer.alloc(6 << 20, 'a') });
    for (let round = 0; round < 3; round += 1) {
      const outcomes = await Promise.allSettled(Array.from({ length: 4 }, submit));
      assert.ok(outcomes.every(({ status }) => status === 'rejected'));
    }
    pak = test.adminPak;
    assert.is((await broker.whoAmI({})).name, 'admin');
    await refused(submit(), Code.NotFound, /stack "none" not found/);
    close();
  });

  early(`${protocol}: one that is too large is refused before it is sent`, async () => {
    const { broker } = test.client(undefined, { protocol });
    const submit = () => broker.submitDeployment({ stack: 'none', manifest: Buffer.alloc(33 << 20, 'a') });
    for (let round = 0; round < 4; round += 1) await refused(submit(), Code.ResourceExhausted, /larger than/);
    assert.is((await broker.whoAmI({})).name, 'admin');
  });
}

early.run();
