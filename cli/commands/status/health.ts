import {
  type AgentHealth,
  AgentHealthSchema,
  type GetStackHealthResponse,
  GetStackHealthResponseSchema,
} from '../../../gen/brokkr/v1/health_pb.ts';
import { printSection } from '../../format/describe.ts';
import { ageText } from '../../format/enum-labels.ts';
import { healthText, healthTone } from '../../format/health.ts';
import { healthChangeView, unhealthyObjectsText } from '../../format/stack-health.ts';
import { jsonOf, printJson, printList, type View } from '../../output/view.ts';
import { allPages } from '../../session/pages.ts';
import type { Session } from '../../session/session.ts';
import { type VerbDefinitions, withSession } from '../command.ts';

const agentHealthView: View<typeof AgentHealthSchema> = {
  schema: AgentHealthSchema,
  listField: 'agents',
  name: ({ agent }) => agent,
  columns: [
    { title: 'AGENT', text: ({ agent }) => agent },
    { title: 'HEALTH', text: healthText, tone: healthTone },
    { title: 'HEALTHY', text: healthyObjects, drop: 1 },
    { title: 'REVISION', text: ({ revision }) => (revision === 0 ? '' : String(revision)) },
    { title: 'SINCE', text: ({ changeTime }) => ageText(changeTime), drop: 2 },
    { title: 'MESSAGE', text: ({ message }) => message, prose: true },
  ],
};
export const verbs: VerbDefinitions = {
  get: (command) =>
    command
      .command('health')
      .description('health of a stack on each agent, worst first; -o wide also lists its unhealthy objects')
      .argument('<stack>')
      .argument('[agent]')
      .option('--agent <agent>', 'only those on this agent')
      .option('--history', 'show health changes, newest first')
      .action(withSession(getHealth)),
};

interface Options {
  readonly agent?: string;
  readonly history?: boolean;
}

async function getHealth(
  { broker, output }: Session,
  stack: string,
  agentArgument: string | undefined,
  options: Options,
): Promise<void> {
  const filter = { stack, agent: agentArgument ?? options.agent };
  if (options.history) {
    const { history } = await broker.getStackHealth({ ...filter, pageSize: 1 });
    printList(output, healthChangeView, history);
    return;
  }
  let firstPage: GetStackHealthResponse | undefined;
  const agents = await allPages(
    async (page) => {
      const response = await broker.getStackHealth({ ...filter, ...page });
      firstPage ??= response;
      return response;
    },
    (page) => page.agents,
  );
  if (output.format === 'json' || output.format === 'yaml') {
    const response = { ...firstPage!, agents, nextPageToken: '' };
    printJson(output, jsonOf(GetStackHealthResponseSchema, response));
    return;
  }
  printList(output, agentHealthView, agents);
  if (output.wide) printSection(output, 'Not healthy', unhealthyObjectsText(output, agents));
}

/** Counts the healthy objects: "2 of 3". The broker names at most 100 unhealthy objects of an agent. */
function healthyObjects({ objects, objectCount }: AgentHealth): string {
  if (objectCount === 0) return '';
  return `${Math.max(0, objectCount - objects.length)} of ${objectCount}`;
}
