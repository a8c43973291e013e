import { agentStateOf } from '../../../contract/agent-state.ts';
import type { Agent } from '../../../gen/brokkr/v1/cluster_agent_pb.ts';
import { agentStateLabels, type EnumLabel, labelOf } from '../enum-labels.ts';

/** Derives the label of an agent's state from its fields. */
export function agentStateLabel(agent: Agent): EnumLabel {
  return labelOf(agentStateLabels, agentStateOf(agent));
}
