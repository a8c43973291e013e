import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type ClusterContext, onBothClusters } from '../../test/agent/both-clusters.ts';
import { configMap, stackId } from '../../test/agent/test-agent.ts';
import { needs } from '../../test/runner/needs.ts';
import { parseWarnings } from '../kube/warnings.ts';
import type { KubeObject } from '../object/kube-object.ts';

const simulated = suite("the API server's warnings, simulated cluster");
const real = suite("the API server's warnings, real API server");
await onBothClusters(simulated, needs('go') && real, describe);

const endpoints = (name: string): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Endpoints',
  metadata: { name, namespace: 'default' },
});

function describe(test: typeof simulated, { start }: ClusterContext): void {
  test('are reported with the change and in one sentence, once', async () => {
    const agent = await start({ resyncMs: 30 });
    const stack = stackId('warned');
    const applied = agent.nextEvent(stack, 'applied');
    const objects = [endpoints('old'), endpoints('older'), configMap('fine', {})];
    agent.setTarget([{ stackId: stack, order: 1n, deploymentId: 'a', objects }]);
    const { message, changes } = await applied;
    assert.match(message, /^warning: Endpoints default\/old(er)?: v1 Endpoints is deprecated .* \(and 1 more\)$/);
    assert.equal(
      changes
        .map(({ object, message: text }) => [object.name, /^warning: v1 Endpoints is deprecated/.test(text)])
        .sort(),
      [
        ['fine', false],
        ['old', true],
        ['older', true],
      ],
    );
    const { length } = agent.events;
    const again = agent.nextEvent(stack, 'applied');
    agent.setTarget([{ stackId: stack, order: 2n, deploymentId: 'b', objects: objects.slice(2) }]);
    assert.is((await again).message, '');
    assert.is(agent.events.length, length + 1);
  });
}

simulated('are read from a header with several, quotes and commas', () => {
  assert.equal(parseWarnings(''), []);
  assert.equal(parseWarnings('299 - "a, \\"b\\" \\\\ c", 299 kube "d"'), ['a, "b" \\ c', 'd']);
  assert.equal(parseWarnings('199 - "other code"'), []);
});

simulated.run();
real.run();
