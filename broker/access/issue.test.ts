import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { Code } from '@connectrpc/connect';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { refused, startTestBroker } from '../../test/broker.ts';

const test = await startTestBroker();
const { admin } = test.client();

const rotation = suite('rotation');
rotation.after(() => test.close());

rotation('of a key that was given for a time does not prolong it', async () => {
  const expireTime = timestampFromMs(Date.now() + 3_600_000);
  const { pak } = await admin.createAdminPak({ name: 'hour', expireTime });
  const { info } = await test.client(pak).broker.rotatePak({ overlap: { seconds: 86_400n } });
  assert.equal(info?.expireTime?.seconds, expireTime.seconds);
  const { paks } = await admin.listPaks({ owner: 'hour' });
  assert.is(paks.length, 2);
  assert.ok(paks.every((key) => key.expireTime?.seconds === expireTime.seconds));
});

rotation('by a key that has been replaced is refused: it cannot outlive or end the one that replaced it', async () => {
  const { pak } = await admin.createGenerator({ name: 'ci' });
  const next = await admin.rotateGeneratorPak({ generator: 'ci' });
  for (const overlap of [undefined, { seconds: 0n }])
    await refused(test.client(pak).broker.rotatePak({ overlap }), Code.FailedPrecondition, 'replaced');
  for (const key of [next.pak, pak]) assert.is((await test.client(key).broker.whoAmI({})).name, 'ci');
  // Not even when that one is gone.
  const { expireTime } = await test.client(pak).broker.whoAmI({});
  assert.ok(expireTime);
  const { shortToken } = await test.client(next.pak).broker.whoAmI({});
  await admin.revokePak({ pak: shortToken });
  const { info } = await test.client(pak).broker.rotatePak({});
  assert.equal(info?.expireTime, expireTime);
});

rotation.run();
