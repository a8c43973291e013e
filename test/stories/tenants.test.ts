import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { PlacementPhase } from '../../gen/brokkr/v1/placement_pb.ts';
import { startSimulatedCluster } from '../../sandbox/cluster/cluster.ts';
import { configMap } from '../agent/test-agent.ts';
import { openEnvironment, until } from '../agent/test-environment.ts';

const { APPLIED, FAILED } = PlacementPhase;
const environment = await openEnvironment();
const { admin } = environment;
const tenants = suite('tenants, from the broker to the cluster');
const endings: (() => Promise<void>)[] = [];
tenants.after.each(async () => {
  for (const end of endings.splice(0).reverse()) await end();
});
tenants.after(() => environment.close());

/** Enrolls an agent that may only store inventories in its cluster and impersonate two accounts of namespace `team`. */
async function enrol(name: string) {
  const account = { namespaces: ['team'], resources: ['configmaps'] };
  const cluster = await startSimulatedCluster({
    pods: false,
    rights: { namespaces: ['brokkr'], accounts: { 'team/first': account, 'team/second': account } },
  });
  endings.push(() => cluster.stop());
  for (const room of ['team', 'brokkr']) cluster.put({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: room } });
  const { pak } = await admin.admin.createGenerator({ name, rules: { allowNamespaces: ['team'] } });
  const own = environment.broker.client(pak);
  const agent = await environment.startAgent(await environment.createAgent(`${name}-agent`), cluster.kubeconfig);
  endings.push(agent.close);
  const actors = () =>
    new Set(cluster.requests.filter(({ path }) => path.includes('/namespaces/team/')).map((one) => one.impersonated));
  const submit = async (...objects: object[]) => {
    const manifest = Buffer.from(objects.map((object) => JSON.stringify(object)).join('\n---\n'));
    await own.broker.submitDeployment({ stack: 'shop', manifest });
  };
  await own.broker.createStack({ name: 'shop' });
  return { agent: `${name}-agent`, stack: `${name}/shop`, cluster, own, actors, submit };
}

tenants(
  'an agent impersonates the account of its registration, then a changed one, and the last one after its end',
  async () => {
    const { agent, stack, cluster, own, actors, submit } = await enrol('shops');
    await admin.admin.addRegistration({ agent, generator: 'shops', serviceAccount: 'team/first' });
    await own.broker.addTarget({ stack: 'shop', agent });
    await submit(configMap('open', { k: '1' }, 'team'));
    await environment.untilPhase(stack, agent, APPLIED);
    assert.equal([...actors()], ['system:serviceaccount:team:first']);

    cluster.clearRequests();
    await admin.admin.addRegistration({ agent, generator: 'shops', serviceAccount: 'team/second' });
    await until(
      () => actors().has('system:serviceaccount:team:second'),
      () => 'a look as the other account',
    );
    await submit(configMap('open', { k: '2' }, 'team'));
    await until(
      () => (cluster.get('v1', 'ConfigMap', 'team', 'open')?.data as { k: string } | undefined)?.k === '2',
      () => 'the change',
    );
    assert.equal([...actors()], ['system:serviceaccount:team:second']);

    cluster.clearRequests();
    await admin.admin.removeRegistration({ agent, generator: 'shops' });
    await environment.untilRemoved('shop', agent);
    assert.is(cluster.get('v1', 'ConfigMap', 'team', 'open'), undefined);
    assert.equal([...actors()], ['system:serviceaccount:team:second']);
  },
);

tenants('a refused request of the account is reported in the API server’s words', async () => {
  const { agent, stack, own, submit } = await enrol('secrets');
  await admin.admin.addRegistration({ agent, generator: 'secrets', serviceAccount: 'team/first' });
  await own.broker.addTarget({ stack: 'shop', agent });
  await submit({ apiVersion: 'v1', kind: 'Secret', metadata: { name: 'key', namespace: 'team' } });
  const { message } = await environment.untilPhase(stack, agent, FAILED);
  assert.match(message, 'User "system:serviceaccount:team:first" cannot get resource "secrets"');
});

tenants('stricter rules stop changes of existing objects, and delete nothing', async () => {
  const { agent, stack, cluster, own, submit } = await enrol('ruled');
  await admin.admin.addRegistration({ agent, generator: 'ruled', serviceAccount: 'team/first' });
  await own.broker.addTarget({ stack: 'shop', agent });
  await submit(configMap('kept', { k: '1' }, 'team'));
  await environment.untilPhase(stack, agent, APPLIED);
  const limit = (rules: object) =>
    admin.admin.updateGenerator({ generator: 'ruled', rules, updateMask: { paths: ['rules'] } });
  await limit({ denyKinds: ['ConfigMap'] });
  const { message } = await environment.untilPhase(stack, agent, FAILED);
  assert.match(message, 'ConfigMap team/kept: generator ruled may not deploy it: kind ConfigMap is denied');
  assert.ok(cluster.get('v1', 'ConfigMap', 'team', 'kept'));
  await limit({});
  await environment.untilPhase(stack, agent, APPLIED);
});

tenants.run();
