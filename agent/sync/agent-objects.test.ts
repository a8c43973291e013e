import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type ClusterContext, onBothClusters } from '../../test/agent/both-clusters.ts';
import { configMap, stackId } from '../../test/agent/test-agent.ts';
import { needs } from '../../test/runner/needs.ts';

const simulated = suite('objects of the agent, simulated cluster');
const real = suite('objects of the agent, real API server');
await onBothClusters(simulated, needs('go') && real, describe);
simulated.run();
real.run();

function describe(test: typeof simulated, { admin, agents, start }: ClusterContext): void {
  const stack = () => stackId(`own ${agents.namespace}`);

  test('are refused to a tenant, whatever rights the agent has, and given to the system generator', async () => {
    const testAgent = await start();
    const id = { apiVersion: 'v1', kind: 'ResourceQuota', namespace: agents.namespace, name: 'none' };
    const quota = {
      apiVersion: 'v1',
      kind: 'ResourceQuota',
      metadata: { name: 'none', namespace: agents.namespace },
      spec: { hard: { configmaps: '1000' } },
    };
    let reported = testAgent.nextEvent(stack(), 'failed');
    const target = { stackId: stack(), deploymentId: 'd1', objects: [quota, configMap('o-else', { k: '1' })] };
    testAgent.setTarget([{ ...target, order: 1n, generator: 'team' }]);
    const { message } = await reported;
    assert.match(message, `generator team may not deploy it: namespace ${agents.namespace} is the agent’s own`);
    assert.is(await admin.get(id), undefined);
    reported = testAgent.nextEvent(stack(), 'applied');
    testAgent.setTarget([{ ...target, order: 2n, generator: 'system' }]);
    await reported;
    assert.ok(await admin.get(id));
  });
}
