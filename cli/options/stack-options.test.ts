import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ConflictPolicy, DriftPolicy } from '../../gen/brokkr/v1/stack_pb.ts';
import { startTestBroker } from '../../test/broker.ts';
import { testCli } from '../../test/cli.ts';

const settings = suite('cli: the settings of a stack');
const broker = await startTestBroker();
const cli = testCli(broker);
const client = broker.client();

settings.after(async () => {
  cli.close();
  await broker.close();
});

const config = (value: string) =>
  `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"value":"${value}"}}`;
const read = async (stack: string) => (await client.broker.getStack({ stack })).stack!;

settings('have objects replaced only when that is asked for', async () => {
  await cli.done('create stack forced --force-replace');
  assert.is((await read('forced')).forceReplace, true);
  assert.match(await cli.done('describe stack forced'), /\nForce replace: +yes\n/);
  await cli.done('update stack forced --drift report');
  assert.is((await read('forced')).forceReplace, true, 'what is not named stays');
  await cli.done('update stack forced --no-force-replace');
  assert.is((await read('forced')).forceReplace, false);
  assert.not.match(await cli.done('describe stack forced'), 'Force replace');
});

settings('are set at its creation, and shown', async () => {
  await cli.done('create stack db');
  const fields = [
    'Deployment/web:.spec.replicas',
    'Deployment/web:.spec.paused',
    'ConfigMap:.data',
    '.metadata.labels',
    '.webhooks[name=a.example.org].clientConfig',
  ];
  const options = `--drift report --conflict refuse --depends-on db --depends-on system/db`;
  const ignored = fields.map((field) => `--ignore-field ${field}`).join(' ');
  await cli.done(`create stack web ${options} ${ignored}`);
  const stack = await read('web');
  assert.equal([stack.drift, stack.conflict], [DriftPolicy.REPORT, ConflictPolicy.REFUSE]);
  assert.equal(
    stack.ignoredFields.map(({ kind, name, paths }) => [kind, name, paths]),
    [
      ['apps/Deployment', 'web', ['.spec.replicas', '.spec.paused']],
      ['ConfigMap', '', ['.data']],
      ['', '', ['.metadata.labels', '.webhooks[name=a.example.org].clientConfig']],
    ],
  );
  const output = await cli.done('describe stack web');
  assert.match(
    output,
    /Drift: +report\nIgnored fields: +apps\/Deployment\/web:\.spec\.replicas, .*ConfigMap:\.data, \.metadata/,
  );
  assert.match(output, /Conflict: +refuse\nDepends on: +(system\/)?db\n/);
  assert.match(await cli.done('get stack web -o wide'), /DRIFT +DEPENDS ON .*\n.* report +(system\/)?db /);
  assert.match(await cli.done('describe stack db'), /Drift: +repair\nConflict: +adopt\n/);
});

settings('are changed and removed', async () => {
  for (const name of ['one', 'two']) await cli.done(`create stack ${name}`);
  await cli.done('create stack three --depends-on one --ignore-field .data');
  await cli.done('update stack three --depends-on two --drift ignore');
  const changed = await read('three');
  assert.equal([changed.dependsOn.length, changed.drift], [1, DriftPolicy.IGNORE]);
  assert.match(changed.dependsOn[0]!, 'two');
  assert.is(changed.ignoredFields.length, 1);
  assert.match(await cli.fails(1, 'update stack two --depends-on three'), 'wait for each other');
  assert.match(await cli.fails(1, 'delete stack two --yes'), '--no-depends-on');
  await cli.done('update stack three --no-depends-on --no-ignore-field --drift repair');
  const bare = await read('three');
  assert.equal([bare.dependsOn, bare.ignoredFields, bare.drift], [[], [], DriftPolicy.REPAIR]);
});

settings('are applied before the objects', async () => {
  await cli.done('create stack base');
  await cli.done('apply -f - --stack top --depends-on base --drift report', { stdin: config('one') });
  assert.equal([(await read('top')).dependsOn.length, (await read('top')).drift], [1, DriftPolicy.REPORT]);
  const same = await cli.done('apply -f - --stack top --depends-on base --drift report', { stdin: config('one') });
  assert.not.match(same, 'updated');
  const more = ['apply', '-f', '-', '--stack', 'top', '--conflict', 'refuse', '--ignore-field', 'Job:.spec'];
  assert.match(
    await cli.done(more, { stdin: config('two') }),
    /^revision 2 submitted[\s\S]*stack system\/top updated\n/,
  );
  assert.equal([(await read('top')).conflict, (await read('top')).drift], [ConflictPolicy.REFUSE, DriftPolicy.REPORT]);
  const before = (await read('top')).etag;
  await cli.fails(1, 'apply -f - --stack top --drift ignore', { stdin: '{"kind":"ConfigMap"}' });
  assert.is((await read('top')).etag, before, 'a rejected apply changes no settings');
});

settings('that are invalid are rejected before the broker is called', async () => {
  await cli.fails(2, 'create stack odd --drift sometimes');
  await cli.fails(2, 'create stack odd --conflict maybe');
  for (const field of ['spec', 'Deployment', 'Deployment:spec', 'a/b/c/D:.x', '..x', ':.x'])
    assert.match(await cli.fails(2, `create stack odd --ignore-field ${field}`), 'use a path such as');
  await cli.fails(1, 'create stack odd --depends-on nowhere');
});

settings.run();
