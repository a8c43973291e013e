import { randomUUID } from 'node:crypto';
import { Code, ConnectError } from '@connectrpc/connect';
import type { BrokkrClient } from '../../client/client.ts';
import { Health } from '../../gen/brokkr/v1/health_pb.ts';
import { type Placement, PlacementPhase, PlacementState } from '../../gen/brokkr/v1/placement_pb.ts';

type Broker = BrokkrClient['broker'];

/** A release to deliver. */
export interface Delivery {
  readonly stack: string;
  /** Agents with this label run the stack. */
  readonly label: string;
  readonly manifest: Uint8Array;
  readonly commit: string;
  readonly signal: AbortSignal;
}

/** The result of a delivery. */
export interface DeliveryResult {
  readonly revision: number;
  /** The stack already had these objects. */
  readonly unchanged: boolean;
  /** Names of the agents on which the stack is healthy. */
  readonly agents: readonly string[];
}

/** Creates the stack if it does not exist, submits the objects, and waits until they are healthy on all its agents. */
export async function deliver(broker: Broker, delivery: Delivery): Promise<DeliveryResult> {
  const { stack, label, manifest, commit, signal } = delivery;
  await ensureStack(broker, stack, label, signal);
  // A repeated request id returns the first answer, so a retry after a lost answer does not create a second revision.
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

/** Waits until the deployment is healthy on all agents. Rejects with an agent's message when it failed there. */
async function untilHealthy(
  broker: Broker,
  stack: string,
  deploymentId: string,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const placements = new Map<string, Placement>();
  for await (const update of broker.watchStack({ stack }, { signal })) {
    for (const placement of update.placements) placements.set(placement.agentId, placement);
    for (const agentId of update.goneAgentIds) placements.delete(agentId);
    const current = update.stack?.currentDeploymentId ?? deploymentId;
    if (current !== deploymentId) throw new Error('another deployment superseded this one');
    const serving = [...placements.values()].filter(({ state }) => state === PlacementState.ACTIVE);
    const failed = serving.find(({ phase }) => phase === PlacementPhase.FAILED);
    if (failed) throw new Error(`agent ${failed.agent}: ${failed.message}`);
    const unhealthy = serving.find(({ health }) => health === Health.FAILED);
    if (unhealthy) throw new Error(`agent ${unhealthy.agent}: ${unhealthy.healthMessage}`);
    if (serving.every(isHealthy)) return serving.map(({ agent }) => agent).sort();
  }
  throw new Error('the stack was deleted in the meantime');
}

function isHealthy({ phase, health }: Placement): boolean {
  return phase === PlacementPhase.APPLIED && health === Health.HEALTHY;
}

const retryDelayMs = 1_000;

/** Retries a call while the broker is unavailable, for example during a restart, until the signal aborts. */
async function whileUnavailable<T>(call: () => Promise<T>, signal: AbortSignal): Promise<T> {
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if (signal.aborted || !(error instanceof ConnectError)) throw error;
      // An error that did not come from the broker is a lost connection.
      if (error.isWireError && error.code !== Code.Unavailable) throw error;
    }
    await new Promise((settle) => setTimeout(settle, retryDelayMs * (0.5 + Math.random())));
  }
}
