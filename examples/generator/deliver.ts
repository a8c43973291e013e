import { randomUUID } from 'node:crypto';
import { Code, ConnectError } from '@connectrpc/connect';
import type { BrokkrClient } from '../../client/client.ts';
import { Health } from '../../gen/brokkr/v1/health_pb.ts';
import { type Placement, PlacementPhase, PlacementState } from '../../gen/brokkr/v1/placement_pb.ts';

type Broker = BrokkrClient['broker'];

export interface Delivery {
  readonly stack: string;
  /** Agents with this label run the stack. */
  readonly label: string;
  readonly manifest: Uint8Array;
  readonly commit: string;
  readonly signal: AbortSignal;
}

export interface DeliveryResult {
  readonly revision: number;
  /** The stack had these objects already. */
  readonly unchanged: boolean;
  /** Names of the agents where it is healthy. */
  readonly agents: readonly string[];
}

/** Submits the objects, makes the stack when it is missing, and waits until they are healthy on all its agents. */
export async function deliver(broker: Broker, delivery: Delivery): Promise<DeliveryResult> {
  const { stack, label, manifest, commit, signal } = delivery;
  await ensureStack(broker, stack, label, signal);
  // The same id again is answered as the first time: a lost answer does not make a second revision.
  const requestId = randomUUID();
  const submission = { requestId, stack, manifest, message: `commit ${commit}` };
  const { deployment, unchanged } = await whileUnavailable(
    () => broker.submitDeployment(submission, { signal }),
    signal,
  );
  if (!deployment) throw new Error('the broker answered without a deployment');
  const agents = await whileUnavailable(() => untilHealthy(broker, stack, deployment.id, signal), signal);
  return { revision: deployment.revision, unchanged, agents };
}

async function ensureStack(broker: Broker, name: string, label: string, signal: AbortSignal): Promise<void> {
  const request = { requestId: randomUUID(), name, labels: [label] };
  try {
    await whileUnavailable(() => broker.createStack(request, { signal }), signal);
  } catch (error) {
    if (ConnectError.from(error).code !== Code.AlreadyExists) throw error;
  }
}

/** Follows the stack; rejects with an agent's own words when it could not apply the deployment, or that has failed there. */
async function untilHealthy(
  broker: Broker,
  stack: string,
  deploymentId: string,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const placements = new Map<string, Placement>();
  for await (const news of broker.watchStack({ stack }, { signal })) {
    for (const placement of news.placements) placements.set(placement.agentId, placement);
    for (const agentId of news.goneAgentIds) placements.delete(agentId);
    const current = news.stack?.currentDeploymentId ?? deploymentId;
    if (current !== deploymentId) throw new Error('another deployment took its place');
    const serving = [...placements.values()].filter(({ state }) => state === PlacementState.ACTIVE);
    const failed = serving.find(({ phase }) => phase === PlacementPhase.FAILED);
    if (failed) throw new Error(`agent ${failed.agent}: ${failed.message}`);
    const ill = serving.find(({ health }) => health === Health.FAILED);
    if (ill) throw new Error(`agent ${ill.agent}: ${ill.healthMessage}`);
    if (serving.every(isHealthy)) return serving.map(({ agent }) => agent).sort();
  }
  throw new Error('the stack was deleted meanwhile');
}

function isHealthy({ phase, health }: Placement): boolean {
  return phase === PlacementPhase.APPLIED && health === Health.HEALTHY;
}

const retryDelayMs = 1_000;

/** A broker that restarts is back in a moment; the signal limits how long that is believed. */
async function whileUnavailable<T>(call: () => Promise<T>, signal: AbortSignal): Promise<T> {
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if (signal.aborted || !(error instanceof ConnectError)) throw error;
      // What the broker did not say itself is a connection that broke.
      if (error.isWireError && error.code !== Code.Unavailable) throw error;
    }
    await new Promise((settle) => setTimeout(settle, retryDelayMs * (0.5 + Math.random())));
  }
}
