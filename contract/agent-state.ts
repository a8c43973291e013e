import type { Agent } from '../gen/brokkr/v1/cluster_agent_pb.ts';
import { AgentState } from '../gen/brokkr/v1/fleet_pb.ts';

/** Returns the state of an agent by the broker's rule for the fleet: faults come before intended states. */
export function agentStateOf({
  deleteTime,
  incarnation,
  online,
  paused,
}: Pick<Agent, 'deleteTime' | 'incarnation' | 'online' | 'paused'>): AgentState {
  if (deleteTime) return AgentState.DRAINING;
  if (incarnation === 0n) return AgentState.NEVER_STARTED;
  if (!online) return AgentState.OFFLINE;
  return paused ? AgentState.PAUSED : AgentState.ONLINE;
}
