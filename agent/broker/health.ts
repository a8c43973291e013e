import { toDuration } from '../../contract/duration.ts';
import { healths } from '../../contract/enum-names.ts';
import type { StackHealth } from '../health/status.ts';
import { plain } from './events.ts';

/** The cluster's answers to the agent, as heartbeats report them. */
export interface ClusterState {
  readonly reachable: boolean;
  /** Duration of the last small request to the cluster's API; undefined before the first. */
  readonly latencyMs: number | undefined;
}

const maxMessage = 2_048;
const maxObjects = 100;

/** Builds the message of a stack's health, cut to the limits of the contract. */
export function toHealthMessage(stack: StackHealth) {
  const { stackId, deploymentId, generation, objectCount } = stack;
  return {
    stackId,
    deploymentId,
    generation,
    health: healths[stack.health],
    message: plain(stack.message, maxMessage),
    objects: stack.objects.slice(0, maxObjects).map(({ object, health, message }) => ({
      object,
      health: healths[health],
      message: plain(message, maxMessage),
    })),
    objectCount,
  };
}

export function toClusterMessage({ reachable, latencyMs }: ClusterState) {
  return {
    reachable,
    latency: latencyMs === undefined ? undefined : toDuration(latencyMs),
  };
}
