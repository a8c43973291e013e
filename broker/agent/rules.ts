import { halfOfBigint } from '../numbers.ts';
import { onlineForMs } from '../placement/rules.ts';
import { Refusal } from '../refusal.ts';
import { isId } from '../resource.ts';

export interface AgentRow {
  readonly id: string;
  readonly name: string;
  readonly description: string;
  readonly paused: boolean;
  readonly clusterId: string | null;
  readonly version: string;
  readonly createdAt: Date;
  /** Set while the agent drains: its last removal is not acknowledged yet. */
  readonly deletedAt: Date | null;
  readonly labels: string[];
  readonly annotations: Record<string, string>;
  /** Names of the generators that it is registered with, as far as the reader may know them. */
  readonly generators: string[];
  readonly incarnation: string;
  readonly lastHeartbeatAt: Date | null;
  readonly agentVersion: string;
  readonly kubernetesVersion: string;
  /** Reported by the last heartbeat; null when it said nothing about the cluster. */
  readonly clusterReachable: boolean | null;
  readonly clusterLatencyMs: number | null;
  /** Start of the current session; null while there is none. */
  readonly connectedAt: Date | null;
}

/** An agent's connection to its cluster. */
export interface ClusterState {
  readonly reachable: boolean;
  readonly latencyMs: number | null;
}

/** An agent's session with one broker. Of two sessions that overlap, the one that began later counts. */
export interface Presence {
  readonly id: string;
  readonly since: Date;
}

export function isOnline(agent: AgentRow, now: Date): boolean {
  return agent.lastHeartbeatAt !== null && now.getTime() - agent.lastHeartbeatAt.getTime() < onlineForMs;
}

/**
 * Refuses the call of an agent that another start has replaced. An incarnation above the current one passes: this broker has not read
 * that start yet, or a restored database has forgotten it.
 */
export function requireIncarnation(current: bigint, presented: bigint): void {
  if (presented > halfOfBigint)
    throw new Refusal('invalid_argument', `incarnation ${presented} is beyond all that a broker issues`, {
      field: 'incarnation',
    });
  if (presented >= current) return;
  throw new Refusal(
    'failed_precondition',
    `incarnation ${presented} was replaced by ${current}: another agent has started with this key`,
    { field: 'incarnation', reason: 'STALE_INCARNATION' },
  );
}

/** Refuses a key in another cluster than its agent's: a copied key could acknowledge removals that never happened. */
export function requireCluster(agent: Pick<AgentRow, 'name' | 'clusterId'>, clusterId: string): void {
  if (agent.clusterId === null || agent.clusterId === clusterId) return;
  throw new Refusal(
    'failed_precondition',
    `agent "${agent.name}" belongs to cluster ${agent.clusterId}, not ${clusterId}: an admin may allow the move with RebindAgent`,
    { field: 'cluster_id', reason: 'CLUSTER_MISMATCH' },
  );
}

/** Refuses a change of an agent that is being deleted. */
export function requireNotDraining(agent: AgentRow): void {
  if (agent.deletedAt === null) return;
  throw new Refusal('failed_precondition', `agent "${agent.name}" is being deleted`, {
    field: 'agent',
    reason: 'DELETED',
  });
}

/** A deployment that an agent's inventory lists. */
export interface HeldDeployment {
  readonly stackId: string;
  readonly deploymentId: string;
  readonly order: bigint;
}

/** The state of the broker that an inventory is compared with. */
export interface BrokerState {
  readonly epoch: bigint;
  readonly epochStartedAt: Date;
  readonly highestOrder: bigint;
  /** Ids of deployments that the agent holds and that do not exist, although their stacks do. */
  readonly unknownDeployments: readonly string[];
}

/**
 * Names what an agent presents that is newer than what the broker knows, which means that the broker was restored from an older
 * backup; undefined when nothing is. An unknown deployment from before this epoch does not count: its loss is why the epoch began.
 */
export function newerThanKnown(
  presented: { readonly epoch: bigint; readonly order: bigint },
  known: BrokerState,
): string | undefined {
  if (presented.epoch > known.epoch) return `epoch ${presented.epoch}`;
  if (presented.order > known.highestOrder) return `order ${presented.order}`;
  const lost = known.unknownDeployments.find((id) => createdAt(id) > known.epochStartedAt.getTime());
  return lost === undefined ? undefined : `the unknown deployment ${lost}`;
}

/** More epochs and orders than the restore of any backup loses. */
const epochsAhead = 1_000n;
const ordersAhead = 10n ** 12n;

/**
 * Refuses numbers that no lost broker can have issued. An agent that makes numbers up must not exhaust them, because all other agents
 * would then be refused.
 */
export function requirePlausible(
  presented: { readonly epoch: bigint; readonly order: bigint },
  known: { readonly epoch: bigint; readonly highestOrder: bigint },
): void {
  const field =
    presented.epoch > known.epoch + epochsAhead
      ? 'epoch'
      : presented.order > known.highestOrder + ordersAhead
        ? 'order'
        : undefined;
  if (field === undefined) return;
  throw new Refusal('invalid_argument', `${field} ${presented[field]} is beyond all that a broker has issued`, {
    field,
    reason: 'IMPLAUSIBLE',
  });
}

/** Returns the highest order in an inventory; 0 for an empty one. */
export function highestOrder(held: readonly HeldDeployment[]): bigint {
  let highest = 0n;
  for (const { order } of held) if (order > highest) highest = order;
  return highest;
}

/** Returns the deployments whose ids have the broker's format; others cannot be looked up. */
export function identifiableDeployments(held: readonly HeldDeployment[]): HeldDeployment[] {
  return held.filter(({ deploymentId }) => isId(deploymentId));
}

/** Returns the time, in milliseconds, at which a broker created a deployment: its id begins with it (UUID version 7). */
function createdAt(deploymentId: string): number {
  return Number.parseInt(deploymentId.replaceAll('-', '').slice(0, 12), 16);
}
