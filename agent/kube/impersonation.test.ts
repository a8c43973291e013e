import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { GeneratorLimits } from '../../contract/generator-limits.ts';
import {
  openRealTenantCluster,
  openSimulatedTenantCluster,
  type TenantCluster,
} from '../../test/agent/tenant-cluster.ts';
import { configMap, configMapId, stackId } from '../../test/agent/test-agent.ts';
import { agentsOn } from '../../test/agent/test-agents.ts';
import { needs } from '../../test/runner/needs.ts';
import type { KubeObject } from '../object/kube-object.ts';

const simulated = suite('tenants of an agent, simulated cluster');
const real = suite('tenants of an agent, real API server');
describe(simulated, await openSimulatedTenantCluster());
if (needs('go')) describe(real, await openRealTenantCluster());
simulated.run();
real.run();

function describe(test: typeof simulated, tenantCluster: TenantCluster): void {
  const agents = agentsOn(test, tenantCluster);
  /** The namespace in which it may keep its inventory. */
  const start = () => agents.start({ namespace: 'brokkr' });
  const account = { serviceAccount: 'team/deployer' };
  const user = 'system:serviceaccount:team:deployer';
  let count = 0;
  const newStack = () => stackId(`tenant-${++count}`);
  const secret: KubeObject = {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'theirs', namespace: 'team' },
    stringData: { password: 'hidden' },
  };

  test('applies, changes, prunes and removes as the stack’s account', async () => {
    const testAgent = await start();
    const stack = newStack();
    tenantCluster.requests();
    const target = { stackId: stack, deploymentId: 'a', ...account };
    const applied = testAgent.nextEvent(stack);
    testAgent.setTarget([
      { ...target, objects: [configMap('a', { k: '1' }, 'team'), configMap('b', { k: '1' }, 'team')] },
    ]);
    const { outcome, message } = await applied;
    assert.is(outcome, 'applied', message);
    const changed = testAgent.nextEvent(stack);
    testAgent.setTarget([{ ...target, deploymentId: 'b', order: 2n, objects: [configMap('a', { k: '2' }, 'team')] }]);
    assert.is((await changed).outcome, 'applied');
    assert.equal((await tenantCluster.get(configMapId('a', 'team')))?.data, { k: '2' });
    assert.is(await tenantCluster.get(configMapId('b', 'team')), undefined);
    const removed = testAgent.nextEvent(stack);
    testAgent.setTarget([
      { ...target, deploymentId: 'b', order: 3n, generation: 2n, state: 'removing', kinds: ['v1/ConfigMap'] },
    ]);
    assert.is((await removed).outcome, 'removed');
    assert.is(await tenantCluster.get(configMapId('a', 'team')), undefined);

    const requests = tenantCluster.requests() ?? [];
    const about = (place: string) => requests.filter(({ path }) => path.includes(`/namespaces/${place}/`));
    for (const { path, impersonated } of about('team')) assert.is(impersonated, user, path);
    for (const { path, impersonated } of about('brokkr')) assert.is(impersonated, '', path);
  });

  test('reports what the account may not do in the API server’s words, and applies nothing of it', async () => {
    const testAgent = await start();
    const stack = newStack();
    const reported = testAgent.nextEvent(stack);
    const objects = [configMap('beside', { k: '1' }, 'team'), secret];
    testAgent.setTarget([{ stackId: stack, deploymentId: 'a', ...account, objects }]);
    const { outcome, message } = await reported;
    assert.is(outcome, 'failed');
    assert.match(message, `secrets "theirs" is forbidden: User "${user}" cannot`);
    assert.match(message, 'resource "secrets" in API group "" in the namespace "team"');
    assert.is(await tenantCluster.get(configMapId('beside', 'team')), undefined);
    assert.not.match(
      JSON.stringify(testAgent.events, (_, value) => (typeof value === 'bigint' ? `${value}` : value)),
      'hidden',
    );

    // An object that never existed is removed without a look at the whole cluster, which neither of them has a right to.
    const removed = testAgent.nextEvent(stack);
    const kinds = ['v1/ConfigMap', 'v1/Secret'];
    testAgent.setTarget([
      { stackId: stack, deploymentId: 'a', ...account, order: 2n, generation: 2n, state: 'removing', kinds },
    ]);
    const removal = await removed;
    assert.is(removal.outcome, 'removed', removal.message);
  });

  for (const what of ['of a stack that it has never seen', 'whose inventory is lost']) {
    test(`holds a removal ${what}, and when that is confirmed completes it where the account may list`, async () => {
      const stack = newStack();
      const target = { stackId: stack, deploymentId: 'a', ...account };
      if (what === 'whose inventory is lost') {
        const before = await start();
        const applied = before.nextEvent(stack);
        before.setTarget([{ ...target, objects: [configMap('lost', { k: '1' }, 'team')] }]);
        assert.is((await applied).outcome, 'applied');
        await before.close();
        await tenantCluster.remove(configMapId(`brokkr-inv-${stack}-0`, 'brokkr'));
      }
      const testAgent = await start();
      const removal = { ...target, order: 2n, generation: 2n, state: 'removing' as const, kinds: ['v1/ConfigMap'] };
      const held = testAgent.nextEvent(stack);
      testAgent.setTarget([removal]);
      const { outcome, message, heldKeys } = await held;
      assert.is(outcome, 'held', message);
      assert.match(message, 'its objects may not be listed everywhere');
      const removed = testAgent.nextEvent(stack, 'removed');
      testAgent.setTarget([{ ...removal, confirmed: true, confirmedKeys: heldKeys }]);
      await removed;
      assert.is(await tenantCluster.get(configMapId('lost', 'team')), undefined);
    });
  }

  test('may impersonate no other account, and names the one that was refused', async () => {
    const testAgent = await start();
    const stack = newStack();
    const reported = testAgent.nextEvent(stack);
    const target = { stackId: stack, deploymentId: 'a', objects: [configMap('other', { k: '1' }, 'team')] };
    testAgent.setTarget([{ ...target, serviceAccount: 'team/default' }]);
    const { outcome, message } = await reported;
    assert.is(outcome, 'failed');
    assert.match(message, 'cannot impersonate resource "serviceaccounts" in API group "" in the namespace "team"');
    assert.match(message, '(as system:serviceaccount:team:default)');

    const applied = testAgent.nextEvent(stack, 'applied');
    testAgent.setTarget([{ ...target, ...account }]);
    await applied;
    assert.ok(await tenantCluster.get(configMapId('other', 'team')), 'another account is a reason to try again');
  });

  test('starts over when the account is taken away, and keeps what exists', async () => {
    const testAgent = await start();
    const stack = newStack();
    const target = { stackId: stack, deploymentId: 'a', objects: [configMap('own', { k: '1' }, 'team')] };
    const applied = testAgent.nextEvent(stack);
    testAgent.setTarget([{ ...target, ...account }]);
    assert.is((await applied).outcome, 'applied');
    const reported = testAgent.nextEvent(stack);
    testAgent.setTarget([target]);
    const { outcome, message } = await reported;
    assert.is(outcome, 'failed');
    assert.match(message, 'is forbidden');
    assert.ok(await tenantCluster.get(configMapId('own', 'team')));
  });

  test('applies nothing of a stack that breaks its generator’s rules, deletes nothing, and applies it when they allow it', async () => {
    const testAgent = await start();
    const stack = newStack();
    const target = { stackId: stack, ...account };
    const before = testAgent.nextEvent(stack);
    testAgent.setTarget([{ ...target, deploymentId: 'a', objects: [configMap('ruled', { k: '1' }, 'team')] }]);
    assert.is((await before).outcome, 'applied');

    const objects = [configMap('fine', { k: '1' }, 'team'), configMap('astray', { k: '1' })];
    const next = { ...target, deploymentId: 'b', order: 2n, objects };
    const reported = testAgent.nextEvent(stack);
    testAgent.setTarget([next], rules({ allowNamespaces: ['team'] }));
    const { outcome, message, changes } = await reported;
    assert.is(outcome, 'failed');
    assert.is(
      message,
      'nothing was applied: ConfigMap default/astray: generator ci may not deploy it: namespace default is not among the allowed namespaces',
    );
    assert.equal(
      changes.map(({ object, action }) => `${action} ${object.namespace}/${object.name}`),
      ['failed default/astray'],
    );
    assert.is(await tenantCluster.get(configMapId('fine', 'team')), undefined);
    assert.ok(await tenantCluster.get(configMapId('ruled', 'team')), 'what was there stays');

    const again = testAgent.nextEvent(stack);
    testAgent.setTarget(
      [{ ...next, deploymentId: 'c', order: 3n, objects: objects.slice(0, 1) }],
      rules({ denyKinds: ['*'] }),
    );
    assert.match((await again).message, 'kind ConfigMap is denied');
    const applied = testAgent.nextEvent(stack, 'applied');
    testAgent.setTarget([{ ...next, deploymentId: 'c', order: 3n, objects: objects.slice(0, 1) }], rules({}));
    await applied;
    assert.is(
      await tenantCluster.get(configMapId('ruled', 'team')),
      undefined,
      'and is pruned when the rules allow the rest',
    );

    const removed = testAgent.nextEvent(stack);
    const removal = { ...target, deploymentId: 'c', order: 4n, generation: 2n, state: 'removing' as const, kinds: [] };
    testAgent.setTarget([removal], rules({ denyKinds: ['*'] }));
    assert.is((await removed).outcome, 'removed', 'rules are no reason to keep something');
  });

  test('knows from the cluster which kinds are cluster-scoped', async () => {
    const testAgent = await start();
    const stack = newStack();
    const reported = testAgent.nextEvent(stack);
    const room: KubeObject = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'room' } };
    testAgent.setTarget([{ stackId: stack, deploymentId: 'a', ...account, objects: [room] }], rules({}));
    assert.match(
      (await reported).message,
      'Namespace room: generator ci may not deploy it: kind Namespace is cluster-scoped',
    );
  });

  test('lets no stack write what would be read as an inventory', async () => {
    const testAgent = await start();
    const stack = newStack();
    const reported = testAgent.nextEvent(stack);
    const forged = configMap(`brokkr-inv-${stack}-0`, {}, 'brokkr');
    testAgent.setTarget([{ stackId: stack, deploymentId: 'a', ...account, objects: [forged] }]);
    assert.match((await reported).message, 'it is one of the agent’s inventories');
  });
}

function rules(limits: Partial<GeneratorLimits>) {
  const none = { allowNamespaces: [], denyNamespaces: [], allowKinds: [], denyKinds: [], clusterScoped: false };
  return { generators: [{ generator: 'ci', limits: { ...none, ...limits } }] };
}
