import type { Agent } from '../../../gen/brokkr/v1/cluster_agent_pb.ts';
import { AgentState } from '../../../gen/brokkr/v1/fleet_pb.ts';
import { agentStates, type Word } from '../enum-labels.ts';

/** The state of an agent that came without one, in the fleet's words. */
export function onlineWord({ deleteTime, paused, online, incarnation }: Agent): Word {
  if (deleteTime) return agentStates[AgentState.DRAINING];
  if (paused) return agentStates[AgentState.PAUSED];
  if (online) return agentStates[AgentState.ONLINE];
  return agentStates[incarnation === 0n ? AgentState.NEVER_STARTED : AgentState.OFFLINE];
}
