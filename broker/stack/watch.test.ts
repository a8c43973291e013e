import { Code } from '@connectrpc/connect';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Outcome } from '../../gen/brokkr/v1/event_pb.ts';
import { PlacementPhase } from '../../gen/brokkr/v1/placement_pb.ts';
import type { WatchStackResponse } from '../../gen/brokkr/v1/stack_pb.ts';
import { configMap, startTestAgent } from '../../test/agents.ts';
import { eventually, refused, startTestBroker } from '../../test/broker.ts';

const test = await startTestBroker({ brokers: 2 });
const { admin, broker } = test.client();
const watches = suite('watching a stack');
watches.after(() => test.close());

/** Follows a stack and collects what is said of it. */
function follow(stack: string, options: { pak?: string; url?: string } = {}) {
  const messages: WatchStackResponse[] = [];
  const stop = new AbortController();
  const { broker: from } = test.client(options.pak, options.url === undefined ? {} : { url: options.url });
  const ended = (async () => {
    for await (const message of from.watchStack({ stack }, { signal: stop.signal })) messages.push(message);
  })();
  ended.catch(() => {});
  const phases = () => {
    const known = new Map<string, PlacementPhase>();
    for (const { placements, goneAgentIds } of messages) {
      for (const { agentId, phase } of placements) known.set(agentId, phase);
      for (const id of goneAgentIds) known.delete(id);
    }
    return known;
  };
  return { messages, ended, phases, stop: () => stop.abort() };
}

watches('begins with the whole state, goes on with changes, and ends with the stack', async () => {
  await broker.createStack({ name: 'seen', labels: ['seen'] });
  await broker.createStack({ name: 'unseen', labels: ['unseen'] });
  const one = await startTestAgent(test, { name: 'one', labels: ['seen', 'unseen'] });
  const watch = follow('seen', { url: test.urls[1] ?? '' });
  await eventually(() => watch.phases().get(one.id) === PlacementPhase.PENDING);
  assert.is(watch.messages[0]?.stack?.name, 'seen');
  for (const stack of ['seen', 'unseen']) await broker.submitDeployment({ stack, manifest: configMap(stack) });
  await eventually(() => watch.messages.some(({ stack }) => stack?.revision === 1));
  const two = await startTestAgent(test, { name: 'two', labels: ['seen'] });
  await eventually(() => watch.phases().get(two.id) === PlacementPhase.PENDING);
  await one.reconcile();
  await eventually(() => watch.phases().get(one.id) === PlacementPhase.APPLIED);
  await two.report(await two.entry('seen'), Outcome.FAILED, 'no such namespace');
  await eventually(() => watch.phases().get(two.id) === PlacementPhase.FAILED);
  assert.ok(watch.messages.some(({ placements }) => placements.some(({ message }) => message === 'no such namespace')));
  // Changes of other stacks are not sent.
  const before = watch.messages.length;
  await broker.updateStack({ stack: 'unseen', addLabels: ['x'] });
  await broker.submitDeployment({ stack: 'unseen', manifest: configMap('unseen', 'b') });
  await one.report(await one.entry('unseen'), Outcome.FAILED);
  await admin.createAgent({ name: 'bystander' });
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  assert.is(watch.messages.length, before);
  assert.ok(
    watch.messages.every(({ stack, placements }) =>
      [stack?.name ?? 'seen', ...placements.map((one) => one.stack)].every((name) => /^(system\/)?seen$/.test(name)),
    ),
  );
  await admin.updateAgent({ agent: 'two', removeLabels: ['seen'] });
  await eventually(() => watch.phases().get(two.id) === PlacementPhase.REMOVING);
  await eventually(async () => (await two.removingStacks()).includes('seen'));
  await two.reconcile();
  await eventually(() => watch.messages.some(({ goneAgentIds }) => goneAgentIds.includes(two.id)));
  await broker.deleteStack({ stack: 'seen' });
  await eventually(async () => (await one.removingStacks()).includes('seen'));
  await one.reconcile();
  await watch.ended;
  assert.equal([...watch.phases()], []);
  assert.ok(watch.messages.at(-1)?.stack?.deleteTime);
});

watches('of a stack that is deleted from no agent ends with its delete_time', async () => {
  await broker.createStack({ name: 'short' });
  const watch = follow('short');
  await eventually(() => watch.messages.length > 0);
  await broker.deleteStack({ stack: 'short' });
  await watch.ended;
  assert.ok(watch.messages.at(-1)?.stack?.deleteTime);
});

watches('is for those who may see the stack, and as long as they may', async () => {
  const { pak } = await admin.createGenerator({ name: 'nosy' });
  await broker.createStack({ name: 'private' });
  await refused(follow('private', { pak }).ended, Code.NotFound);
  await refused(follow('system/private', { pak }).ended, Code.NotFound);
  const nosy = test.client(pak).broker;
  await nosy.createStack({ name: 'own' });
  const watch = follow('own', { pak });
  await eventually(() => watch.messages.length > 0);
  await admin.deleteGenerator({ generator: 'nosy', cascade: true });
  const ended = await watch.ended.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (ended !== undefined) await refused(watch.ended, Code.Unauthenticated);
});

watches('may be done by many at once', async () => {
  await broker.createStack({ name: 'popular', labels: ['popular'] });
  const agents = await Promise.all(
    Array.from({ length: 10 }, (_, at) => startTestAgent(test, { name: `p${at}`, labels: ['popular'] })),
  );
  const all = Array.from({ length: 80 }, (_, at) => follow('popular', { url: test.urls[at % 2] ?? '' }));
  await eventually(() => all.every((watch) => watch.phases().size === 10), 30_000);
  await broker.submitDeployment({ stack: 'popular', manifest: configMap('popular') });
  for (const agent of agents) await eventually(async () => (await agent.activeStacks()).length === 1);
  await Promise.all(agents.map((agent) => agent.reconcile()));
  await eventually(
    () => all.every((watch) => [...watch.phases().values()].every((phase) => phase === PlacementPhase.APPLIED)),
    60_000,
  );
  for (const watch of all) watch.stop();
  await Promise.allSettled(all.map(({ ended }) => ended));
});

watches.run();
