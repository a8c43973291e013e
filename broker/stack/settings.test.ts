import { Code } from '@connectrpc/connect';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Outcome } from '../../gen/brokkr/v1/event_pb.ts';
import { PlacementPhase } from '../../gen/brokkr/v1/placement_pb.ts';
import { ConflictPolicy, DriftPolicy, OnDelete } from '../../gen/brokkr/v1/stack_pb.ts';
import { configMap, startTestAgent } from '../../test/agents.ts';
import { eventually, refused, startTestBroker } from '../../test/broker.ts';

const test = await startTestBroker();
const { admin, broker } = test.client();
const settings = suite('settings of a stack');
settings.after(() => test.close());

const replicas = { kind: 'apps/Deployment', name: '', paths: ['.spec.replicas'] };
const plain = (fields: readonly { kind: string; name: string; paths: string[] }[]) =>
  fields.map(({ kind, name, paths }) => ({ kind, name, paths: [...paths] }));

settings('have defaults, are written under the mask, and reach the agents at once', async () => {
  const agent = await startTestAgent(test, { name: 'one', labels: ['one'] });
  const { stack } = await broker.createStack({ name: 'web', labels: ['one'] });
  assert.equal([stack?.drift, stack?.conflict, stack?.ignoredFields], [DriftPolicy.REPAIR, ConflictPolicy.ADOPT, []]);
  await broker.submitDeployment({ stack: 'web', manifest: configMap('web') });
  const before = await eventually(() => agent.entry('web'));
  assert.equal([before.drift, before.conflict], [DriftPolicy.REPAIR, ConflictPolicy.ADOPT]);
  const update = {
    stack: 'web',
    drift: DriftPolicy.REPORT,
    conflict: ConflictPolicy.REFUSE,
    ignoredFields: [replicas],
    onDelete: OnDelete.ORPHAN,
  };
  const first = await broker.updateStack({ ...update, updateMask: { paths: ['drift', 'ignored_fields'] } });
  assert.equal(
    [first.stack?.drift, first.stack?.conflict, first.stack?.onDelete, plain(first.stack?.ignoredFields ?? [])],
    [DriftPolicy.REPORT, ConflictPolicy.ADOPT, OnDelete.PRUNE, [replicas]],
  );
  const changed = await eventually(async () => {
    const entry = await agent.entry('web');
    return entry.drift === DriftPolicy.REPORT && entry;
  });
  assert.equal(plain(changed.ignoredFields), [replicas]);
  await broker.updateStack({ ...update, updateMask: { paths: ['conflict', 'on_delete'] } });
  await broker.updateStack({ stack: 'web', updateMask: { paths: ['drift', 'ignored_fields'] } });
  const last = (await broker.getStack({ stack: 'web' })).stack;
  assert.equal(
    [last?.drift, last?.conflict, last?.onDelete, last?.ignoredFields],
    [DriftPolicy.REPAIR, ConflictPolicy.REFUSE, OnDelete.ORPHAN, []],
  );
});

settings('reach agents that compute the digest without them by a higher order', async () => {
  const agent = await startTestAgent(test, { name: 'two', labels: ['two'] });
  const { stack } = await broker.createStack({ name: 'forced', labels: ['two'] });
  assert.is(stack?.forceReplace, false);
  await broker.submitDeployment({ stack: 'forced', manifest: configMap('forced') });
  const before = await eventually(() => agent.entry('forced'));
  await agent.report(before, Outcome.APPLIED);
  const mask = { paths: ['force_replace'] };
  await broker.updateStack({ stack: 'forced', updateMask: mask });
  assert.is((await agent.entry('forced')).order, before.order, 'nothing has changed');
  const { stack: forced } = await broker.updateStack({ stack: 'forced', forceReplace: true, updateMask: mask });
  assert.is(forced?.forceReplace, true);
  const after = await eventually(async () => {
    const entry = await agent.entry('forced');
    return entry.forceReplace && entry;
  });
  assert.ok(after.order > before.order);
  assert.equal([after.deploymentId, after.generation], [before.deploymentId, before.generation]);
  assert.is((await broker.listPlacements({ stack: 'forced' })).placements[0]?.phase, PlacementPhase.APPLIED);
  const { stacks } = await broker.listStacks({});
  assert.equal(
    stacks.filter(({ forceReplace }) => forceReplace).map(({ name }) => name),
    ['forced'],
  );
});

settings('are refused when they are not ones', async () => {
  const mask = (path: string) => ({ stack: 'web', updateMask: { paths: [path] } });
  await refused(broker.updateStack(mask('name')), Code.InvalidArgument, /"name" is not one of selector, on_delete/);
  const name = (text: string) => ({ ...mask('ignored_fields'), ignoredFields: [{ name: text, paths: ['.a'] }] });
  for (const text of ['a b', 'a|b', 'a;b', 'a\nb'])
    await refused(broker.updateStack(name(text)), Code.InvalidArgument, /ignored_fields/);
  for (const path of ['.a[0]', '.a[b', '.a."b', '.a[name=b|c]', 'a'])
    await refused(
      broker.updateStack({ ...mask('ignored_fields'), ignoredFields: [{ paths: [path] }] }),
      Code.InvalidArgument,
      /ignored_fields/,
    );
  const long = Array.from({ length: 32 }, (_, at) => `.${String(at).padEnd(255, 'x')}`);
  const ignoredFields = Array.from({ length: 4 }, () => ({ paths: long }));
  await refused(
    broker.updateStack({ ...mask('ignored_fields'), ignoredFields }),
    Code.InvalidArgument,
    /ignored_fields: has/,
  );
});

settings('name what a stack depends on, among those of its generator', async () => {
  await admin.createGenerator({ name: 'tenant' });
  await broker.createStack({ name: 'foreign' });
  await broker.createStack({ name: 'base', generator: 'tenant' });
  const { stack } = await broker.createStack({ name: 'app', generator: 'tenant', dependsOn: ['base'] });
  assert.equal(stack?.dependsOn, ['base']);
  for (const ref of ['foreign', 'system/foreign', 'tenant/none', '00000000-0000-0000-0000-000000000000']) {
    await refused(
      broker.updateStack({ stack: 'tenant/app', dependsOn: ['base', ref], updateMask: { paths: ['depends_on'] } }),
      Code.NotFound,
      `stack "${ref}" not found among those of generator "tenant"`,
    );
    await refused(
      broker.createStack({ name: 'other', generator: 'tenant', dependsOn: [ref] }),
      Code.NotFound,
      `stack "${ref}"`,
    );
  }
  assert.equal((await broker.getStack({ stack: 'tenant/app' })).stack?.dependsOn, ['base']);
});

settings('never make stacks wait for each other', async () => {
  for (const name of ['a', 'b', 'c', 'd']) await broker.createStack({ name });
  const needs = (stack: string, ...dependsOn: string[]) =>
    broker.updateStack({ stack, dependsOn, updateMask: { paths: ['depends_on'] } });
  await needs('b', 'a');
  await needs('c', 'b', 'a');
  await needs('d', 'c');
  await refused(needs('a', 'a'), Code.InvalidArgument, /a -> a$/);
  await refused(needs('a', 'd'), Code.InvalidArgument, /a -> d -> c -> (b -> )?a$/);
  await refused(needs('b', 'c'), Code.InvalidArgument, /b -> c -> b$/);
  await needs('c', 'a');
  await needs('b', 'c');
  const both = await Promise.allSettled([needs('a', 'b'), needs('a', 'd')]);
  assert.equal(
    both.map(({ status }) => status),
    ['rejected', 'rejected'],
  );
  await needs('b');
  await needs('c');
  const raced = await Promise.allSettled([needs('b', 'c'), needs('c', 'b')]);
  assert.equal(raced.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
});

settings('keep a stack that others depend on', async () => {
  for (const name of ['needed', 'first', 'second'])
    await broker.createStack({ name, dependsOn: name === 'needed' ? [] : ['needed'] });
  await refused(broker.deleteStack({ stack: 'needed' }), Code.FailedPrecondition, /needed by first, second/);
  await broker.deleteStack({ stack: 'first' });
  await broker.updateStack({ stack: 'second', dependsOn: [], updateMask: { paths: ['depends_on'] } });
  await broker.deleteStack({ stack: 'needed' });
});

settings('tell an agent the ids of what to wait for, in order, and of a removal none', async () => {
  const agent = await startTestAgent(test, { name: 'waiter', labels: ['wait'] });
  for (const name of ['z', 'y', 'x']) await broker.createStack({ name, labels: ['wait'] });
  await broker.createStack({ name: 'last', labels: ['wait'], dependsOn: ['x', 'y', 'z'] });
  await broker.submitDeployment({ stack: 'last', manifest: configMap('last') });
  const ids = await Promise.all(['z', 'y', 'x'].map(async (stack) => (await broker.getStack({ stack })).stack?.id));
  const entry = await eventually(() => agent.entry('last'));
  assert.equal(entry.dependsOnIds, ids.sort());
  await broker.deleteStack({ stack: 'last' });
  await eventually(async () => (await agent.entry('last')).dependsOnIds.length === 0);
});

settings('are explained where an agent waits for a stack that it does not serve', async () => {
  const agent = await startTestAgent(test, { name: 'waiting', labels: ['explained'] });
  await broker.createStack({ name: 'empty', labels: ['explained'] });
  await broker.createStack({ name: 'elsewhere' });
  await broker.createStack({ name: 'full', labels: ['explained'] });
  for (const stack of ['full', 'elsewhere']) await broker.submitDeployment({ stack, manifest: configMap(stack) });
  const dependsOn = ['empty', 'elsewhere', 'full'];
  await broker.createStack({ name: 'dependent', labels: ['explained'], dependsOn });
  await broker.submitDeployment({ stack: 'dependent', manifest: configMap('dependent') });
  const entry = await eventually(() => agent.entry('dependent'));
  await agent.report(entry, Outcome.WAITING, 'waits for a stack');
  const steps = await eventually(async () => {
    const { steps } = await broker.explainPlacement({ agent: 'waiting', stack: 'dependent' });
    const names = steps.flatMap(({ name, detail }) => (name === 'depends on' ? [detail] : []));
    return names.length > 0 && names;
  });
  assert.equal(steps, [
    'stack elsewhere, which the agent does not serve',
    'stack empty, of which nothing was submitted yet',
  ]);
});

settings.run();
