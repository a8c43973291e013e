import { Code } from '@connectrpc/connect';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { PlacementState } from '../../gen/brokkr/v1/placement_pb.ts';
import type { PullTargetStateResponse } from '../../gen/brokkr/v1/target_state_pb.ts';
import { configMap, startTestAgent, type TestAgent } from '../../test/agents.ts';
import { eventually, refused, startTestBroker } from '../../test/broker.ts';

const test = await startTestBroker({ brokers: 2 });
const { admin } = test.client();

const registrations = suite('registrations, accounts and rules');
registrations.after(() => test.close());

let names = 0;
async function tenant(rules = {}) {
  const name = `g${++names}`;
  const { pak } = await admin.createGenerator({ name, rules });
  const { broker } = test.client(pak);
  await broker.createStack({ name, labels: [name] });
  await broker.submitDeployment({ stack: name, manifest: configMap('c') });
  // The agent speaks with the other broker.
  const agent = await startTestAgent(test, { name, labels: [name], url: test.urls[1] ?? '' });
  return { name, broker, agent };
}
/** Returns the answer that ends the agent's long poll once `change` was made. */
async function wokenBy(agent: TestAgent, change: () => Promise<unknown>): Promise<PullTargetStateResponse> {
  const { digest } = await agent.pull();
  const poll = agent.client.agent.pullTargetState(
    { incarnation: agent.incarnation, digest, wait: { seconds: 60n } },
    { timeoutMs: 70_000 },
  );
  await change();
  return poll;
}
const accountOf = (answer: PullTargetStateResponse, stack: string) =>
  answer.entries.find((entry) => entry.stack === stack)?.serviceAccount;

registrations('bring an account to the agent, and wake it, when it is given, changed and taken away', async () => {
  const { name, agent } = await tenant();
  const add = (serviceAccount: string) => () => admin.addRegistration({ agent: name, generator: name, serviceAccount });
  assert.is(accountOf(await wokenBy(agent, add('team/deployer')), name), 'team/deployer');
  assert.is(accountOf(await wokenBy(agent, add('team/other')), name), 'team/other');
  assert.is(accountOf(await wokenBy(agent, add('')), name), '');
  const { registrations: listed } = await admin.listRegistrations({ agent: name, generator: name });
  assert.equal(
    listed.map(({ serviceAccount }) => serviceAccount),
    [''],
  );
});

registrations('give stacks that are placed later their account too', async () => {
  const { name, broker, agent } = await tenant();
  await admin.addRegistration({ agent: name, generator: name, serviceAccount: 'team/deployer' });
  await broker.createStack({ name: 'later', labels: [name] });
  await broker.submitDeployment({ stack: 'later', manifest: configMap('d') });
  await eventually(async () => (await agent.entry('later')).serviceAccount === 'team/deployer');
});

registrations('leave a removal its account, though the consent that named it is gone', async () => {
  const { name, agent } = await tenant();
  await admin.addRegistration({ agent: name, generator: name, serviceAccount: 'team/deployer' });
  await eventually(() => agent.entry(name));
  const answer = await wokenBy(agent, () => admin.removeRegistration({ agent: name, generator: name }));
  const [entry] = answer.entries;
  assert.equal([entry?.state, entry?.serviceAccount], [PlacementState.REMOVING, 'team/deployer']);
  // The agent's new consent brings the stack back, by the account: only an admin gives it the agent's own rights.
  await agent.client.agent.registerGenerator({ generator: name, incarnation: agent.incarnation });
  await eventually(async () => {
    const now = await agent.entry(name);
    return now.state === PlacementState.ACTIVE && now.serviceAccount === 'team/deployer';
  });
  await admin.addRegistration({ agent: name, generator: name });
  await eventually(async () => (await agent.entry(name)).serviceAccount === '');
});

registrations('leave a removal its account when the agent withdraws, and when the generator is deleted', async () => {
  for (const end of [
    ({ name, agent }: Awaited<ReturnType<typeof tenant>>) =>
      agent.client.agent.deregisterGenerator({ generator: name, incarnation: agent.incarnation }),
    ({ name }: Awaited<ReturnType<typeof tenant>>) => admin.deleteGenerator({ generator: name, cascade: true }),
  ]) {
    const made = await tenant();
    await admin.addRegistration({ agent: made.name, generator: made.name, serviceAccount: 'a/b' });
    await eventually(() => made.agent.entry(made.name));
    const answer = await wokenBy(made.agent, () => end(made));
    assert.equal(
      answer.entries.map(({ state, serviceAccount }) => [state, serviceAccount]),
      [[PlacementState.REMOVING, 'a/b']],
    );
  }
});

registrations('take only accounts that can be', async () => {
  const { name } = await tenant();
  for (const serviceAccount of ['deployer', '/deployer', 'team/', 'Team/deployer', 'a/b/c', 'system:masters'])
    await refused(admin.addRegistration({ agent: name, generator: name, serviceAccount }), Code.InvalidArgument);
});

registrations('bring rules to the agent, and wake it when they change', async () => {
  const { name, agent } = await tenant({ allowNamespaces: ['default'] });
  const first = await wokenBy(agent, () => admin.addRegistration({ agent: name, generator: name }));
  assert.equal(
    first.generators.map(({ generator, rules }) => [generator, rules?.allowNamespaces, rules?.clusterScoped]),
    [[name, ['default'], false]],
  );
  const second = await wokenBy(agent, () =>
    admin.updateGenerator({
      generator: name,
      rules: { denyKinds: ['Secret'], clusterScoped: true },
      updateMask: { paths: ['rules'] },
    }),
  );
  assert.equal(
    second.generators.map(({ rules }) => [rules?.allowNamespaces, rules?.denyKinds, rules?.clusterScoped]),
    [[[], ['Secret'], true]],
  );
});

registrations('do not wake agents for what does not concern them', async () => {
  const one = await tenant();
  const other = await tenant();
  await admin.addRegistration({ agent: one.name, generator: one.name });
  await eventually(() => one.agent.entry(one.name));
  const { digest } = await one.agent.pull();
  await admin.updateGenerator({
    generator: other.name,
    rules: { denyKinds: ['Secret'] },
    updateMask: { paths: ['rules'] },
  });
  await admin.updateGenerator({ generator: one.name, description: 'new', updateMask: { paths: ['description'] } });
  await test.client().broker.createStack({ name: 'unrelated' });
  assert.equal((await one.agent.pull()).digest, digest);
});

registrations.run();
