import { type AgentHealth, HealthChangeSchema } from '../../gen/brokkr/v1/health_pb.ts';
import type { Output, View } from '../output/output.ts';
import { ageText } from './enum-labels.ts';
import { healthText, healthTone, objectLine, omittedText } from './health.ts';

export const healthChangeView: View<typeof HealthChangeSchema> = {
  schema: HealthChangeSchema,
  listField: 'history',
  name: ({ agent }) => agent,
  columns: [
    { title: 'AGE', text: ({ time }) => ageText(time) },
    { title: 'AGENT', text: ({ agent }) => agent },
    { title: 'HEALTH', text: healthText, tone: healthTone },
    { title: 'MESSAGE', text: ({ message }) => message },
  ],
};

/** The objects that are not healthy, below the name of their agent. */
export function unhealthyObjectsText(out: Output, agents: readonly AgentHealth[]): string {
  return agents.flatMap((agent) => agentLines(out, agent)).join('\n');
}

function agentLines(out: Output, { agent, objects }: AgentHealth): string[] {
  if (objects.length === 0) return [];
  const shown = out.wide ? objects : objects.slice(0, defaultObjectCount);
  const more = omittedText(shown.length, objects.length);
  const lines = [...shown.map((object) => objectLine(out, object)), ...(more === '' ? [] : [more])];
  return [agent, ...lines.map((line) => `  ${line}`)];
}

/** How many objects of an agent are named unless more is asked for. */
const defaultObjectCount = 5;
