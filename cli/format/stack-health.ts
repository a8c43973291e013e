import { type AgentHealth, HealthChangeSchema } from '../../gen/brokkr/v1/health_pb.ts';
import type { Output } from '../output/output.ts';
import type { View } from '../output/view.ts';
import { ageText } from './enum-labels.ts';
import { healthText, healthTone, objectLine, omittedText } from './health.ts';

/** Prints health changes. */
export const healthChangeView: View<typeof HealthChangeSchema> = {
  schema: HealthChangeSchema,
  listField: 'history',
  name: ({ agent }) => agent,
  columns: [
    { title: 'AGE', text: ({ time }) => ageText(time) },
    { title: 'AGENT', text: ({ agent }) => agent },
    { title: 'HEALTH', text: healthText, tone: healthTone },
    { title: 'MESSAGE', text: ({ message }) => message, prose: true },
  ],
};

/** Lists the unhealthy objects below the name of their agent. */
export function unhealthyObjectsText(output: Output, agents: readonly AgentHealth[]): string {
  return agents.flatMap((agent) => agentLines(output, agent)).join('\n');
}

function agentLines(output: Output, { agent, objects }: AgentHealth): string[] {
  if (objects.length === 0) return [];
  const listed = output.wide ? objects : objects.slice(0, defaultObjectCount);
  const more = omittedText(listed.length, objects.length);
  const lines = [...listed.map((object) => objectLine(output, object)), ...(more === '' ? [] : [more])];
  return [agent, ...lines.map((line) => `  ${line}`)];
}

/** Objects listed for each agent without `-o wide`. */
const defaultObjectCount = 5;
