import { inspect } from 'node:util';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createForeignWriter } from '../../test/agent/foreign-writer.ts';
import {
  configMap,
  connect,
  openRealCluster,
  openSimulatedCluster,
  stackId,
  type TestAgent,
  type TestCluster,
  until,
} from '../../test/agent/test-agent.ts';
import { agentsOn } from '../../test/agent/test-agents.ts';
import { needs } from '../../test/runner/needs.ts';
import { healthOf } from '../health/evaluate.ts';
import { worstOf } from '../health/status.ts';
import type { KubeObject } from '../object/kube-object.ts';

/** Number of stacks; more of them make a longer search for the rare order of answers that shows an old state. */
const count = Number(process.env.BROKKR_HEALTH_STACKS ?? 100);

const simulated = suite('health of many stacks under load, simulated cluster');
const real = suite('health of many stacks under load, real API server');
describe(simulated, await openSimulatedCluster({ readyDelayMs: 0 }));
if (needs('go')) describe(real, await openRealCluster());
simulated.run();
real.run();

function describe(test: typeof simulated, testCluster: TestCluster): void {
  const agents = agentsOn(test, testCluster);
  const foreignWriter = createForeignWriter(testCluster);
  const cluster = connect(testCluster.source);
  test.after(() => cluster.close());

  test('none differs from the cluster once nothing changes any more', async () => {
    const testAgent = await agents.start();
    const numbers = Array.from({ length: count }, (_, index) => index);
    for (const revision of [1, 2]) {
      testAgent.setTarget(
        numbers.map((number) => ({
          stackId: stackId(`load ${number}`),
          deploymentId: `d${revision}`,
          order: BigInt(revision),
          objects: objectsOf(number, revision),
        })),
      );
      // Somebody else writes at the same time, so that events and answers mix.
      const ids = numbers.map((number) => ({
        ...configMap(`load-${number}`, {}),
        namespace: 'default',
        name: `load-${number}`,
      }));
      await until(async () => (await testCluster.admin.get(ids.at(-1)!)) !== undefined, 'the last stack to be there');
      await Promise.all(
        ids.slice(0, 20).map((id) => foreignWriter.patch(id, { data: { other: `${revision}` } }).catch(() => {})),
      );
      await testAgent.settled();
    }
    for (const number of numbers) await agrees(testAgent, number);
  });

  /** Compares what the agent says of a stack with what the cluster has, both read again until the deadline. */
  async function agrees(testAgent: TestAgent, number: number): Promise<void> {
    const signal = new AbortController().signal;
    let said: unknown;
    const isSame = async () => {
      const objects = await Promise.all(
        objectsOf(number, 2).map(({ apiVersion, kind, metadata: { name } }) =>
          cluster.get({ apiVersion, kind, namespace: 'default', name }, signal),
        ),
      );
      const health = testAgent.clusterState.healthMonitor.healthOf(stackId(`load ${number}`));
      const truth = worstOf(objects.map((object) => (object ? healthOf(object) : { health: 'failed', message: '' })));
      said = { health, truth };
      return health?.health === truth && truth === 'healthy' && health.deploymentId === 'd2';
    };
    await until(isSame, `stack ${number} to be as the cluster says`, 30_000).catch((error: unknown) => {
      assert.unreachable(`${String(error)}: ${inspect(said, { depth: 5 })}`);
    });
  }
}

/** Builds objects whose controllers answer at once: their status is often written before the answer of the apply arrives. */
function objectsOf(number: number, revision: number): KubeObject[] {
  const name = `load-${number}`;
  const labels = { app: name };
  const template = {
    metadata: { labels, annotations: { revision: `${revision}` } },
    spec: { containers: [{ name: 'web', image: 'web:1' }] },
  };
  const metadata = { name, namespace: 'default' };
  return [
    configMap(name, { revision: `${revision}` }, 'default'),
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata,
      spec: { replicas: 0, selector: { matchLabels: labels }, template },
    },
    {
      apiVersion: 'apps/v1',
      kind: 'StatefulSet',
      metadata,
      spec: { replicas: 0, serviceName: name, selector: { matchLabels: labels }, template },
    },
  ];
}
