// time limit: 10 min
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type ClusterContext, onBothClusters } from '../../../test/agent/both-clusters.ts';
import { createForeignWriter } from '../../../test/agent/foreign-writer.ts';
import { connect } from '../../../test/agent/test-agent.ts';
import { needs } from '../../../test/runner/needs.ts';
import type { Cluster } from '../../kube/cluster.ts';
import { type KubeObject, type ObjectId, objectIdOf, valueAt } from '../../object/kube-object.ts';
import { withoutObstacles } from './take-over.ts';

const simulated = suite('taking over fields beside other writers, simulated cluster');
const real = suite('taking over fields beside other writers, real API server');
await onBothClusters(simulated, needs('go') && real, describe);
simulated.run();
real.run();

const never = new AbortController().signal;

function describe(test: typeof simulated, { testCluster, admin }: ClusterContext): void {
  const foreignWriter = createForeignWriter(testCluster);
  const cluster = connect(testCluster.source);
  test.after(() => cluster.close());

  /** Writes `count` times right before a patch, as a controller that reports the object's status may. */
  const interrupted = (count: number, write: (id: ObjectId) => Promise<void>): Cluster => {
    let left = count;
    return {
      ...cluster,
      async patch(id, patch, signal) {
        if (left > 0) {
          left -= 1;
          await write(id);
        }
        return cluster.patch(id, patch, signal);
      },
    };
  };
  const applyWith = async (writer: Cluster, object: KubeObject) => {
    const { apiVersion, kind } = objectIdOf(object);
    const resource = await cluster.discovery.find(apiVersion, kind, never);
    assert.ok(resource);
    return withoutObstacles(writer).apply(
      object,
      resource,
      { dryRun: false, force: true, takesObstacles: true },
      never,
    );
  };
  let statuses = 0;
  const reportStatus = (id: ObjectId) => foreignWriter.patchStatus(id, { observedGeneration: ++statuses });

  test('goes on after a status was written in between', async () => {
    await applyWith(cluster, deployment('beside', {}));
    const recreate = deployment('beside', { strategy: { type: 'Recreate' } });
    await applyWith(interrupted(2, reportStatus), recreate);
    assert.equal(valueAt(await admin.get(objectIdOf(recreate)), 'spec', 'strategy'), { type: 'Recreate' });
  });

  test('gives the fields back after a status was written in between, when the apply is refused for another reason', async () => {
    const first = deployment('refused', {});
    await applyWith(cluster, first);
    const owners = async () =>
      (await admin.get(objectIdOf(first)))?.metadata.managedFields?.filter(({ subresource }) => !subresource);
    const before = await owners();
    const selector = { matchLabels: { app: 'another' } };
    const refused = deployment('refused', { strategy: { type: 'Recreate' }, selector });
    const error = await applyWith(interrupted(4, reportStatus), refused).then(
      () => undefined,
      (reason: Error) => reason,
    );
    assert.ok(error, 'the selector of a Deployment cannot change');
    assert.equal(await owners(), before);
  });

  test('gives up when others keep writing', async () => {
    await applyWith(cluster, deployment('busy', {}));
    const recreate = deployment('busy', { strategy: { type: 'Recreate' } });
    const outcome = await applyWith(interrupted(1_000, reportStatus), recreate).then(
      () => 'applied',
      () => 'refused',
    );
    const { type } = valueAt(await admin.get(objectIdOf(recreate)), 'spec', 'strategy') as { type: string };
    assert.equal([outcome, type], outcome === 'applied' ? ['applied', 'Recreate'] : ['refused', 'RollingUpdate']);
  });
}

function deployment(name: string, spec: object): KubeObject {
  const labels = { app: name };
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, namespace: 'default' },
    spec: {
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers: [{ name: 'main', image: 'example.org/app' }] } },
      ...spec,
    },
  };
}
