import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Code, ConnectError } from '@connectrpc/connect';
import type { BrokkrClient } from '../../client/client.ts';
import { type Placement, PlacementPhase, PlacementState } from '../../gen/brokkr/v1/placement_pb.ts';

export const sample = {
  stack: 'web',
  label: 'demo',
  folder: 'examples/web',
} as const;

const SETTLE_MS = 8_000;
const ASK_MS = 50;

/**
 * Creates the sample stack, for every agent with its label, and submits a deployment. Does nothing if that was done
 * before.
 */
export async function submitSample({ broker }: BrokkrClient): Promise<void> {
  await broker.createStack({ name: sample.stack, labels: [sample.label] }).catch((error: unknown) => {
    if (ConnectError.from(error).code !== Code.AlreadyExists) throw error;
  });
  await broker.submitDeployment({ stack: sample.stack, manifest: readManifest(), message: 'the sample of npm start' });
}

function readManifest(): Uint8Array {
  const folder = join(import.meta.dirname, '../..', sample.folder);
  const files = readdirSync(folder).filter((name) => name.endsWith('.yaml'));
  return Buffer.from(files.map((name) => readFileSync(join(folder, name), 'utf8')).join('\n---\n'));
}

/** Returns the placements on these agents once all have settled (applied, failed or held), or as they are after 8 s. */
export async function settledPlacements(
  client: BrokkrClient,
  agentIds: ReadonlySet<string>,
  signal: AbortSignal,
): Promise<Placement[]> {
  const deadline = Date.now() + SETTLE_MS;
  while (true) {
    const asked = Date.now();
    const placements = (await allPlacements(client, signal)).filter(({ agentId }) => agentIds.has(agentId));
    if (placements.every(isSettled) || Date.now() > deadline) return placements;
    // Listing a large fleet takes a while, so the broker is not asked more often.
    await delay(Math.max(ASK_MS, 2 * (Date.now() - asked)), undefined, { signal });
  }
}

function isSettled({ state, phase, desiredDeploymentId }: Placement): boolean {
  return state === PlacementState.REMOVING || phase !== PlacementPhase.PENDING || desiredDeploymentId === '';
}

async function allPlacements({ broker }: BrokkrClient, signal: AbortSignal): Promise<Placement[]> {
  const found: Placement[] = [];
  for (let pageToken = ''; ; ) {
    const page = await broker.listPlacements({ pageSize: 500, pageToken }, { signal });
    found.push(...page.placements);
    pageToken = page.nextPageToken;
    if (pageToken === '') return found;
  }
}
