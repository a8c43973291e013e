import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { configMap, configMapId, openSimulatedCluster, stackId, until } from '../../test/agent/test-agent.ts';
import { agentsOn } from '../../test/agent/test-agents.ts';
import { passConcurrency } from '../kube/read-objects.ts';
import { textAt } from '../object/kube-object.ts';

const testCluster = await openSimulatedCluster();
const giveUp = suite('giving up a pass');
const agents = agentsOn(giveUp, testCluster);
const stack = stackId('given-up');

/** Starts an agent with 60 objects, and changes its target state at the first write. Returns how many objects were written. */
async function begin(name: string, then: 'pause' | 'change') {
  const testAgent = await agents.start();
  const objects = Array.from({ length: 60 }, (_, index) => configMap(`${name}-${index}`, { k: '1' }));
  let isTold = false;
  testCluster.simulated?.onRequest(({ method, path, query }) => {
    if (isTold || method !== 'PATCH' || query.includes('dryRun') || !path.includes(`/${name}-`)) return;
    isTold = true;
    if (then === 'pause') testAgent.setTarget([], { paused: true });
    else testAgent.setTarget([{ stackId: stack, order: 2n, objects: objects.slice(0, 1) }]);
  });
  testAgent.setTarget([{ stackId: stack, order: 1n, objects }]);
  const written = () => testAgent.writes.filter((write) => write.startsWith(`apply ConfigMap default/${name}-`)).length;
  return { testAgent, written };
}

giveUp('stops in the middle of a group when it is paused, and records what it has written', async () => {
  const { written } = await begin('paused', 'pause');
  const uids = async () => {
    const shard = await testCluster.admin.get(configMapId(`brokkr-inv-${stack}-0`, agents.namespace));
    const lines = (textAt(shard, 'data', 'items') ?? '').split('\n');
    return lines.filter((line) => line !== '' && !line.endsWith(',""]')).length;
  };
  await until(async () => (await uids()) > 0, 'the inventory to be saved');
  assert.ok(written() <= passConcurrency, `${written()} were written`);
  assert.is(await uids(), written());
});

giveUp(
  'stops in the middle of a group when the target changes, and prunes what the new one does not list',
  async () => {
    const { testAgent, written } = await begin('changed', 'change');
    await until(
      () => testAgent.events.some(({ outcome, order }) => outcome === 'applied' && order === 2n),
      'the change',
    );
    assert.ok(written() <= passConcurrency, `${written()} were written`);
    const left = await testCluster.admin.list({ apiVersion: 'v1', kind: 'ConfigMap' }, 'default');
    assert.equal(
      left.flatMap(({ metadata: { name } }) => (name.startsWith('changed-') ? [name] : [])),
      ['changed-0'],
    );
  },
);

giveUp.run();
