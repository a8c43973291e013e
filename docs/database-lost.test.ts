import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { PlacementPhase } from '../gen/brokkr/v1/placement_pb.ts';
import { startSimulatedCluster } from '../sandbox/cluster/cluster.ts';
import { startAgentFor } from '../sandbox/fleet.ts';
import { connect } from '../test/agent/test-agent.ts';
import { configMap } from '../test/agents.ts';
import { eventually, startTestBroker } from '../test/broker.ts';

const folder = mkdtempSync(join(tmpdir(), 'brokkr-lost-'));
const kubeconfigFile = join(folder, 'kubeconfig');
const simulated = await startSimulatedCluster({ readyDelayMs: 5, pods: false });
writeFileSync(kubeconfigFile, simulated.kubeconfig, { mode: 0o600 });
const cluster = connect({ file: kubeconfigFile });
const log = pino({ level: 'silent' });

const lost = suite('a database lost without a backup');
lost.after(async () => {
  cluster.close();
  await simulated.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** Creates a new installation as the page describes, and returns the UIDs of the objects once they are applied. */
async function installation(objects: readonly string[]): Promise<(string | undefined)[]> {
  await using ending = new AsyncDisposableStack();
  const test = await startTestBroker();
  ending.defer(() => test.close());
  const { admin, broker } = test.client();
  await admin.createGenerator({ name: 'shop' });
  const { pak = '' } = await admin.createAgent({ name: 'eu-west-1', labels: ['production'], generators: ['shop'] });
  const stateDir = mkdtempSync(join(folder, 'state-'));
  const agent = await startAgentFor({ id: '', pak }, { brokerUrl: test.url, kubeconfigFile, stateDir, log });
  ending.defer(() => agent.close());
  for (const name of objects) {
    await broker.createStack({ name, generator: 'shop', labels: ['production'] });
    await broker.submitDeployment({ stack: `shop/${name}`, manifest: configMap(name, 'one') });
  }
  await eventually(async () => {
    const { placements } = await broker.listPlacements({});
    const phases = placements.map(({ phase, message }) => `${phase} ${message}`.trim());
    assert.equal(phases, Array(objects.length).fill(String(PlacementPhase.APPLIED)));
    return true;
  }, 60_000);
  return Promise.all(['web', 'kept'].map(uidOf));
}

async function uidOf(name: string): Promise<string | undefined> {
  const id = { apiVersion: 'v1', kind: 'ConfigMap', namespace: 'default', name };
  return (await cluster.get(id, AbortSignal.timeout(30_000)))?.metadata.uid;
}

lost('deletes nothing, and stacks that are submitted again take their objects over', async () => {
  const before = await installation(['web', 'kept']);
  assert.ok(before.every((uid) => uid !== undefined));
  // The second time one stack is not submitted: its objects stay.
  assert.equal(await installation(['web']), before);
});

lost.run();
