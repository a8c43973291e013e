import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseExact } from '../../contract/exact-json.ts';
import { type ClusterContext, onBothClusters } from '../../test/agent/both-clusters.ts';
import { stackId, until } from '../../test/agent/test-agent.ts';
import { needs } from '../../test/runner/needs.ts';
import { type KubeObject, stackLabel } from '../object/kube-object.ts';

const simulated = suite('64-bit integers, simulated cluster');
const real = suite('64-bit integers, real API server');
await onBothClusters(simulated, needs('go') && real, describe);
simulated.run();
real.run();

/** A kind that keeps whatever its objects hold. */
const definition = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: 'counters.exact.example.org' },
  spec: {
    group: 'exact.example.org',
    scope: 'Namespaced',
    names: { plural: 'counters', singular: 'counter', kind: 'Counter', listKind: 'CounterList' },
    versions: [
      {
        name: 'v1',
        served: true,
        storage: true,
        schema: { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } },
      },
    ],
  },
} as unknown as KubeObject;

const counter = (digits: string) =>
  parseExact(
    `{"apiVersion":"exact.example.org/v1","kind":"Counter","metadata":{"name":"c","namespace":"default"},"spec":{"list":[${digits}],"value":${digits}}}`,
  ) as KubeObject;
const counterId = { apiVersion: 'exact.example.org/v1', kind: 'Counter', namespace: 'default', name: 'c' };

function describe(test: typeof simulated, { admin, agents, start }: ClusterContext): void {
  test('beyond 2^53 reach the cluster digit for digit, are no drift, and survive a removal that leaves them', async () => {
    const stack = stackId(`exact ${agents.namespace}`);
    const testAgent = await start();
    const specText = async () => JSON.stringify((await admin.get(counterId))?.spec);
    const apply = async (order: bigint, digits: string) => {
      const applied = testAgent.nextEvent(stack, 'applied');
      const objects = [definition, counter(digits)];
      testAgent.setTarget([{ stackId: stack, order, deploymentId: `d${order}`, objects }]);
      await applied;
    };
    await apply(1n, '9007199254740993');
    assert.is(await specText(), '{"list":[9007199254740993],"value":9007199254740993}');
    // A change of the last digit is a change, although both round to the same JavaScript number.
    await apply(2n, '9007199254740992');
    await apply(3n, '9007199254740993');
    assert.is(await specText(), '{"list":[9007199254740993],"value":9007199254740993}');

    testAgent.writes.length = 0;
    const again = testAgent.nextEvent(stack, 'applied');
    testAgent.setTarget([
      { stackId: stack, order: 4n, deploymentId: 'd4', objects: [definition, counter('9007199254740993')] },
    ]);
    await again;
    await testAgent.settled();
    assert.equal(testAgent.objectWrites(), []);

    const removed = testAgent.nextEvent(stack, 'removed');
    const entry = { stackId: stack, order: 5n, deploymentId: 'd4', generation: 2n, onDelete: 'orphan' } as const;
    testAgent.setTarget([{ ...entry, state: 'removing', kinds: ['exact.example.org/v1/Counter'] }]);
    await removed;
    await until(async () => (await admin.get(counterId))?.metadata.labels?.[stackLabel] === undefined, 'no marks');
    assert.is(await specText(), '{"list":[9007199254740993],"value":9007199254740993}');
  });
}
