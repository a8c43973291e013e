// time limit: 10 min
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Code } from '@connectrpc/connect';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Outcome } from '../../gen/brokkr/v1/event_pb.ts';
import { Health } from '../../gen/brokkr/v1/health_pb.ts';
import { PlacementPhase } from '../../gen/brokkr/v1/placement_pb.ts';
import { configMap } from '../agents.ts';
import { eventually, refused, startTestPostgres } from '../broker.ts';
import { needs } from '../runner/needs.ts';
import { extractCommit } from '../tools/git.ts';
import { type Installation, type InstallationOptions, startInstallation } from './installation.ts';
import { landedCommit } from './landed.ts';

const DEADLINE_MS = 60_000;
const thisTree = resolve(import.meta.dirname, '../..');

const resources = new AsyncDisposableStack();
const compatibility = suite('programs of the landed commit');
compatibility.after(() => resources.disposeAsync());

if (needs('landed')) {
  const folder = mkdtempSync(join(tmpdir(), 'brokkr-landed-'));
  resources.defer(() => rmSync(folder, { recursive: true, force: true }));
  const landedTree = join(folder, 'landed');
  extractCommit(landedCommit, landedTree);
  // The dependencies of that commit may be older; what counts between two programs is the wire and the database.
  symlinkSync(join(thisTree, 'node_modules'), join(landedTree, 'node_modules'));
  const postgres = await startTestPostgres(resources);
  const install = (name: string, trees: { brokerRoot: string; agentRoot: string }) =>
    openInstallation({ name, folder, postgres, ...trees });

  compatibility('the landed agent enrolls with this broker, applies, reports, prunes and removes', async () => {
    const installation = await install('landed-agent', { brokerRoot: thisTree, agentRoot: landedTree });
    await applyFirstRevision(installation);
    await applySecondRevision(installation);
    await removeStack(installation);
  });

  compatibility('this agent enrolls with the landed broker, applies, reports, prunes and removes', async () => {
    const installation = await install('landed-broker', { brokerRoot: landedTree, agentRoot: thisTree });
    await applyFirstRevision(installation);
    await applySecondRevision(installation);
    await removeStack(installation);
  });

  compatibility(
    'a landed installation keeps working while first its broker and then its agent is upgraded',
    async () => {
      const installation = await install('upgraded', { brokerRoot: landedTree, agentRoot: landedTree });
      const uid = await applyFirstRevision(installation);
      await installation.upgradeBroker(thisTree);
      assert.is(await applySecondRevision(installation), uid, 'the object that both revisions have was kept');
      await installation.upgradeAgent(thisTree);
      await removeStack(installation);
      const { agent } = await installation.admin.admin.getAgent({ agent: installation.agent });
      assert.is(agent?.incarnation, 2n);
    },
  );
}

compatibility.run();

async function openInstallation(options: InstallationOptions) {
  const installation = await startInstallation(options);
  resources.defer(() => installation.close());
  return installation;
}

/** Submits two objects, and waits until they are applied and reported as healthy. Returns the uid of the first. */
async function applyFirstRevision(installation: Installation): Promise<string> {
  const { admin, agent } = installation;
  await admin.broker.createStack({ name: agent, labels: [agent] });
  await admin.broker.submitDeployment({ stack: agent, manifest: manifest('kept', 'dropped') });
  await reachesApplied(installation, 1);
  assert.ok(findObject(installation, 'dropped'));
  await eventually(async () => {
    const { agents } = await admin.broker.getStackHealth({ stack: agent });
    return agents[0]?.health === Health.HEALTHY && agents[0].objectCount === 2;
  }, DEADLINE_MS);
  return findObject(installation, 'kept')?.metadata.uid ?? '';
}

/** Submits one object less, and waits until the other is pruned. Returns the uid of the one that stays. */
async function applySecondRevision(installation: Installation): Promise<string> {
  const { admin, agent } = installation;
  await admin.broker.submitDeployment({ stack: agent, manifest: manifest('kept') });
  await reachesApplied(installation, 2);
  assert.is(findObject(installation, 'dropped'), undefined);
  return findObject(installation, 'kept')?.metadata.uid ?? '';
}

/** Deletes the stack, and waits until its objects are gone and the agent has acknowledged it. */
async function removeStack(installation: Installation): Promise<void> {
  const { admin, agent } = installation;
  await admin.broker.deleteStack({ stack: agent });
  await eventually(() => refused(admin.broker.getStack({ stack: agent }), Code.NotFound), DEADLINE_MS);
  assert.is(findObject(installation, 'kept'), undefined);
}

async function reachesApplied({ admin, agent }: Installation, revision: number): Promise<void> {
  await eventually(async () => {
    const [placement] = (await admin.broker.listPlacements({ stack: agent, agent })).placements;
    assert.is(placement?.desiredRevision, revision);
    return placement?.phase === PlacementPhase.APPLIED;
  }, DEADLINE_MS);
  const { events } = await admin.broker.listEvents({ stack: agent, outcome: Outcome.APPLIED });
  assert.is(events[0]?.revision, revision);
}

function manifest(...names: string[]): Uint8Array {
  return Buffer.from(names.map((name) => Buffer.from(configMap(name)).toString()).join('\n---\n'));
}

function findObject({ cluster }: Installation, name: string) {
  return cluster.get('v1', 'ConfigMap', 'default', name);
}
