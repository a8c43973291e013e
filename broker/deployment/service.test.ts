import { Code } from '@connectrpc/connect';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ObjectAction } from '../../gen/brokkr/v1/object_pb.ts';
import { BadRequestSchema, ErrorInfoSchema } from '../../gen/google/rpc/error_details_pb.ts';
import { refused, startTestBroker } from '../../test/broker.ts';
import { assertNoKeys } from '../../test/no-keys.ts';

const test = await startTestBroker();
const { broker } = test.client();
let stacks = 0;
const newStack = async () => (await broker.createStack({ name: `s${++stacks}` })).stack?.name ?? '';
const object = (name: string, data: Record<string, string> = {}) => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name },
  data,
});
const text = (...objects: readonly unknown[]) => Buffer.from(objects.map((one) => JSON.stringify(one)).join('\n---\n'));

const deployments = suite('submitted deployments');
deployments.after(() => test.close());

deployments('say what they change, and nothing when they change nothing', async () => {
  const stack = await newStack();
  const first = await broker.submitDeployment({ stack, manifest: text(object('a', { x: '1' }), object('b')) });
  assert.equal(
    first.changes.map(({ object, action }) => [object?.name, action]),
    [
      ['a', ObjectAction.CREATED],
      ['b', ObjectAction.CREATED],
    ],
  );
  const manifest = text(object('a', { x: '2', y: '3' }), object('c'));
  const dry = await broker.submitDeployment({ stack, manifest, dryRun: true });
  const second = await broker.submitDeployment({ stack, manifest });
  assert.equal(dry.changes, second.changes);
  assert.equal(
    second.changes.map(({ object, action, fields }) => [object?.name, action, fields]),
    [
      ['a', ObjectAction.CONFIGURED, ['.data.x', '.data.y']],
      ['c', ObjectAction.CREATED, []],
      ['b', ObjectAction.DELETED, []],
    ],
  );
  const third = await broker.submitDeployment({ stack, manifest: text(object('c'), object('a', { y: '3', x: '2' })) });
  assert.is(third.deployment?.revision, 3, 'the order of objects is a part of the content');
  const same = await broker.submitDeployment({ stack, manifest: text(object('c'), object('a', { x: '2', y: '3' })) });
  assert.equal([same.unchanged, same.deployment?.id], [true, third.deployment?.id]);
});

deployments('that come at once say each what it changes of the one before it', async () => {
  const stack = await newStack();
  const names = Array.from({ length: 8 }, (_, at) => `o${at}`);
  const answers = await Promise.all(
    names.map(async (name) => broker.submitDeployment({ stack, manifest: text(object(name)) })),
  );
  answers.sort((a, b) => (a.deployment?.revision ?? 0) - (b.deployment?.revision ?? 0));
  const summaries = answers.map(({ changes }) => changes.map(({ object, action }) => [object?.name, action]));
  const created = summaries.map(([first]) => first?.[0]);
  assert.equal([...created].sort(), names);
  assert.equal(
    summaries,
    created.map((name, at) => [
      [name, ObjectAction.CREATED],
      ...(at === 0 ? [] : [[created[at - 1], ObjectAction.DELETED]]),
    ]),
  );
});

deployments('with no objects are meant, or refused', async () => {
  const stack = await newStack();
  for (const manifest of [Buffer.alloc(0), Buffer.from('---\n# nothing\n')])
    await refused(broker.submitDeployment({ stack, manifest }), Code.InvalidArgument, 'allow_empty');
  assert.is((await broker.submitDeployment({ stack, allowEmpty: true })).deployment?.objectCount, 0);
});

deployments('that are wrong name document and line in the details', async () => {
  const stack = await newStack();
  const manifest = Buffer.from('apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n---\nkind: x: y\n');
  const error = await refused(broker.submitDeployment({ stack, manifest }), Code.InvalidArgument, 'document 2, line 6');
  assert.is(error.findDetails(ErrorInfoSchema)[0]?.reason, 'BAD_MANIFEST');
  const [violation] = error.findDetails(BadRequestSchema)[0]?.fieldViolations ?? [];
  assert.is(violation?.field, 'manifest.documents[2]');
  assert.match(violation?.description ?? '', 'document 2, line 6: ');
});

deployments('of as much as is allowed are kept and read again, while other calls go on', async () => {
  const stack = await newStack();
  const objects = (round: string) =>
    text({
      apiVersion: 'v1',
      kind: 'List',
      items: Array.from({ length: 5_000 }, (_, at) =>
        object(
          `a${at}`,
          Object.fromEntries(Array.from({ length: 40 }, (_, key) => [`k${key}`, `${round} of the values`])),
        ),
      ),
    });
  assert.ok(objects('first').length > 5 << 20);
  let answered = 0;
  const others = setInterval(() => void broker.whoAmI({}).then(() => (answered += 1)), 100);
  try {
    const first = await broker.submitDeployment(
      { requestId: 'a', stack, manifest: objects('first') },
      { timeoutMs: 120_000 },
    );
    assert.equal([first.changes.length, first.deployment?.objectCount], [5_000, 5_000]);
    const second = await broker.submitDeployment({ stack, manifest: objects('other') }, { timeoutMs: 120_000 });
    assert.is(second.changes.length, 5_000);
    assert.is(second.changes[0]?.fields.length, 40);
  } finally {
    clearInterval(others);
  }
  assert.ok(answered > 5, `${answered} other calls were answered meanwhile`);
  const read = await broker.getDeployment({ stack });
  assert.is(read.objects.length, 5_000);
  assert.is(read.manifest.length, Number(read.deployment?.size));
});

deployments('that are hostile hold up nobody', async () => {
  const stack = await newStack();
  const hostile = refused(
    broker.submitDeployment({ stack, manifest: Buffer.from('? '.repeat(1 << 20)) }),
    Code.InvalidArgument,
    'manifest: ',
  );
  let ended = false;
  void hostile.then(() => {
    ended = true;
  });
  for (let calls = 0; calls < 5; calls += 1) await broker.whoAmI({});
  assert.is(ended, false, 'the calls waited for the hostile one');
  await hostile;
});

deployments('of other revisions are found by number, and numbers beyond all are not', async () => {
  const stack = await newStack();
  for (const name of ['a', 'b', 'c']) await broker.submitDeployment({ stack, manifest: text(object(name)) });
  assert.is((await broker.getDeployment({ stack, revision: 2 })).objects[0]?.name, 'b');
  assert.is((await broker.getDeployment({ stack })).objects[0]?.name, 'c');
  for (const revision of [4, 2_147_483_648, 4_294_967_295]) {
    await refused(broker.getDeployment({ stack, revision }), Code.NotFound);
    await refused(broker.rollbackStack({ stack, revision }), Code.NotFound);
  }
  const { deployment } = await broker.rollbackStack({ stack, revision: 1 });
  assert.equal([deployment?.revision, deployment?.rollbackOf], [4, 1]);
  const { deployments: all } = await broker.listDeployments({ stack, pageSize: 3 });
  assert.equal(
    all.map((one) => [one.revision, one.current]),
    [
      [4, true],
      [3, false],
      [2, false],
    ],
  );
});

deployments('are logged without keys', () => assertNoKeys(test.logged));

deployments(
  'may have text of 32 MiB for objects of 8 MiB, and the same request id returns the first answer',
  async () => {
    const stack = await newStack();
    const commented = Array.from(
      { length: 31 },
      (_, at) => `${`# ${'x'.repeat(1021)}\n`.repeat(1 << 10)}${JSON.stringify(object(`c${at}`))}\n`,
    );
    const request = { stack, manifest: Buffer.from(commented.join('---\n')), requestId: 'large' };
    assert.ok(request.manifest.length > 31 << 20);
    const { deployment, changes } = await broker.submitDeployment(request);
    assert.equal([deployment?.objectCount, changes.length], [31, 31]);
    assert.ok(deployment && deployment.size < 4_096n);
    const again = await broker.submitDeployment(request);
    assert.equal([again.replayed, again.deployment?.id], [true, deployment.id]);
    const other = Buffer.from(request.manifest);
    other[2] = 0x79;
    await refused(broker.submitDeployment({ ...request, manifest: other }), Code.AlreadyExists, 'request_id');
    const large = object('big', { x: 'x'.repeat(1 << 20) });
    const objects = Array.from({ length: 9 }, (_, at) => ({ ...large, metadata: { name: `big-${at}` } }));
    await refused(
      broker.submitDeployment({ stack, manifest: text(...objects) }),
      Code.InvalidArgument,
      'more than 8388608 bytes',
    );
  },
);

deployments('are read in parts by clients that take no large messages', async () => {
  const stack = await newStack();
  await broker.submitDeployment({ stack, manifest: text(object('a'), object('b', { x: 'ä'.repeat(100) })) });
  const { manifest, objects, deployment } = await broker.getDeployment({ stack });
  const parts: Uint8Array[] = [];
  for (let offset = 0; offset < Number(deployment?.size); ) {
    const part = await broker.getDeployment({ stack, manifestOffset: BigInt(offset), manifestLimit: 100 });
    assert.is(part.objects.length, offset === 0 ? objects.length : 0);
    parts.push(part.manifest);
    offset += part.manifest.length;
  }
  assert.ok(parts.length > 2);
  assert.equal(Buffer.concat(parts), Buffer.from(manifest));
  assert.is((await broker.getDeployment({ stack, manifestOffset: 1n << 40n })).manifest.length, 0);
});

deployments.run();
