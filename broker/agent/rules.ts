import { halfOfBigint } from '../numbers.ts';
import { Refusal } from '../refusal.ts';
import { isId } from '../resource.ts';

export interface AgentRow {
  readonly id: string;
  readonly name: string;
  readonly description: string;
  readonly paused: boolean;
  readonly cluster_id: string | null;
  readonly version: string;
  readonly created_at: Date;
  /** Set while the agent drains: it still has removals to do. */
  readonly deleted_at: Date | null;
  readonly labels: string[];
  readonly annotations: Record<string, string>;
  /** Names of the generators it is registered with, as far as the reader may know. */
  readonly generators: string[];
  readonly incarnation: string;
  readonly last_heartbeat_at: Date | null;
  readonly agent_version: string;
  readonly kubernetes_version: string;
  /** What its last heartbeat said; null when it has said nothing. */
  readonly cluster_reachable: boolean | null;
  readonly cluster_latency_ms: number | null;
  /** Since when its session has been up; null while there is none. */
  readonly connected_at: Date | null;
}

/** How an agent reaches its cluster. */
export interface ClusterState {
  readonly reachable: boolean;
  readonly latencyMs: number | null;
}

/** An agent's session with one broker. Of two that overlap, the one that began later counts. */
export interface Presence {
  readonly id: string;
  readonly since: Date;
}

/** An agent counts as online while its last heartbeat is younger than three of its usual intervals of 30 s: two may be lost. */
export const onlineForMs = 90_000;

export function isOnline(agent: AgentRow, now: Date): boolean {
  return agent.last_heartbeat_at !== null && now.getTime() - agent.last_heartbeat_at.getTime() < onlineForMs;
}

/**
 * Refuses the call of an agent that another start has replaced. A higher number than the current one passes: it was given out by a
 * start that this broker has not read yet, or that a restored database has forgotten.
 */
export function requireIncarnation(current: bigint, presented: bigint): void {
  if (presented > halfOfBigint)
    throw new Refusal('invalid_argument', `incarnation ${presented} is beyond all that a broker gives out`, {
      field: 'incarnation',
    });
  if (presented >= current) return;
  throw new Refusal(
    'failed_precondition',
    `incarnation ${presented} was replaced by ${current}: another agent has started with this key`,
    { field: 'incarnation', reason: 'STALE_INCARNATION' },
  );
}

/** A key works for one cluster, so that a copied one cannot acknowledge removals that never happened. */
export function requireCluster(agent: AgentRow, clusterId: string): void {
  if (agent.cluster_id === null || agent.cluster_id === clusterId) return;
  throw new Refusal(
    'failed_precondition',
    `agent "${agent.name}" belongs to cluster ${agent.cluster_id}, not ${clusterId}: an admin may allow the move with RebindAgent`,
    { field: 'cluster_id', reason: 'CLUSTER_MISMATCH' },
  );
}

export function requireNotDraining(agent: AgentRow): void {
  if (agent.deleted_at === null) return;
  throw new Refusal('failed_precondition', `agent "${agent.name}" is being deleted`, {
    field: 'agent',
    reason: 'DELETED',
  });
}

/** What an agent's inventory says it holds. */
export interface Held {
  readonly stackId: string;
  readonly deploymentId: string;
  readonly order: bigint;
}

/** What the broker knows, to compare with. */
export interface Known {
  readonly epoch: bigint;
  readonly epochStartedAt: Date;
  readonly highestOrder: bigint;
  /** Deployments that the agent holds of stacks that exist, and that do not exist themselves. */
  readonly unknownDeployments: readonly string[];
}

/**
 * Why what an agent presents is newer than what the broker knows, which means that the broker was restored from an older backup;
 * undefined when it is not. A deployment that is unknown but was made before this epoch began is no news: its loss is why it began.
 */
export function newerThanKnown(
  presented: { readonly epoch: bigint; readonly order: bigint },
  known: Known,
): string | undefined {
  if (presented.epoch > known.epoch) return `epoch ${presented.epoch}`;
  if (presented.order > known.highestOrder) return `order ${presented.order}`;
  const lost = known.unknownDeployments.find((id) => createdAt(id) > known.epochStartedAt.getTime());
  return lost === undefined ? undefined : `the unknown deployment ${lost}`;
}

/** More than a restore of any backup loses. */
const epochsAhead = 1_000n;
const ordersAhead = 10n ** 12n;

/**
 * Refuses numbers that no lost broker can have given out: an agent that makes them up must not use up those to come, which all others
 * would then be refused for.
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
  throw new Refusal('invalid_argument', `${field} ${presented[field]} is beyond all that a broker has given out`, {
    field,
    reason: 'IMPLAUSIBLE',
  });
}

export function highestHeld(held: readonly Held[]): bigint {
  let highest = 0n;
  for (const { order } of held) if (order > highest) highest = order;
  return highest;
}

/** Deployments that can be looked up: an id in another shape is none of ours. */
export function heldDeployments(held: readonly Held[]): Held[] {
  return held.filter(({ deploymentId }) => isId(deploymentId));
}

/** A deployment's id begins with the time, in milliseconds, at which a broker made it (UUID version 7). */
function createdAt(deploymentId: string): number {
  return Number.parseInt(deploymentId.replaceAll('-', '').slice(0, 12), 16);
}
