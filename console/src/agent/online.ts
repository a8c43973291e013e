import type { Agent } from '../../../gen/brokkr/v1/cluster_agent_pb.ts';
import { AgentState } from '../../../gen/brokkr/v1/fleet_pb.ts';
import { agentStateLabels, type EnumLabel } from '../enum-labels.ts';

/** Derives the state of an agent from its fields, with the same labels as the fleet view. */
export function agentStateLabel({ deleteTime, paused, online, incarnation }: Agent): EnumLabel {
  if (deleteTime) return agentStateLabels[AgentState.DRAINING];
  if (paused) return agentStateLabels[AgentState.PAUSED];
  if (online) return agentStateLabels[AgentState.ONLINE];
  return agentStateLabels[incarnation === 0n ? AgentState.NEVER_STARTED : AgentState.OFFLINE];
}
