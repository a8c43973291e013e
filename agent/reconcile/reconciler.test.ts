import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { configMap, configMapId, openSimulatedCluster, stackId } from '../../test/agent/test-agent.ts';
import { agentsOn, applyStack } from '../../test/agent/test-agents.ts';

const testCluster = await openSimulatedCluster();
const test = suite('reconciler');
const { start } = agentsOn(test, testCluster);

test('uses the limit of deletions that is configured when a pass begins', async () => {
  const stack = stackId('limited');
  let maxDeletions = 0;
  const testAgent = await start({ maxDeletions: () => maxDeletions });
  const objects = [configMap('stays', {}), configMap('goes', {})];
  await applyStack(testAgent, { stackId: stack, order: 1n, deploymentId: 'a', objects });
  const held = testAgent.nextEvent(stack, 'held');
  testAgent.setTarget([{ stackId: stack, order: 2n, deploymentId: 'b', objects: objects.slice(0, 1) }]);
  await held;
  maxDeletions = 1;
  await testAgent.nextEvent(stack, 'applied');
  assert.is(await testCluster.admin.get(configMapId('goes')), undefined);
});

test('reports a stack once that is ahead of a restored broker, and again when that report is lost', async () => {
  const stack = stackId('ahead');
  const testAgent = await start();
  const objects = [configMap('newer', {})];
  await applyStack(testAgent, { stackId: stack, order: 5n, deploymentId: 'new', objects });
  const ahead = testAgent.nextEvent(stack, 'ahead');
  const older = { stackId: stack, order: 4n, deploymentId: 'old', objects };
  testAgent.setTarget([older], { epoch: 2n });
  await ahead;
  const again = testAgent.nextEvent(stack, 'ahead');
  testAgent.setTarget([older], { epoch: 2n });
  testAgent.triggers.eventLost(stack);
  assert.is((await again).deploymentId, 'old');
  assert.is(testAgent.events.filter(({ outcome }) => outcome === 'ahead').length, 2);
  assert.ok(await testCluster.admin.get(configMapId('newer')));
});

test('processes no stack while it is paused', async () => {
  const stack = stackId('paused');
  const testAgent = await start();
  const target = { stackId: stack, objects: [configMap('frozen', {})] };
  await applyStack(testAgent, target);
  testAgent.setTarget([], { paused: true });
  await testCluster.admin.remove(configMapId('frozen'));
  await new Promise((resolve) => setTimeout(resolve, 300));
  assert.is(await testCluster.admin.get(configMapId('frozen')), undefined);
  const repaired = testAgent.nextEvent(stack, 'repaired');
  testAgent.setTarget([target]);
  await repaired;
});

test.run();
