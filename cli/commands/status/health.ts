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
import { jsonOf, printJson, printList, type View } from '../../output/output.ts';
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
    { title: 'HEALTHY', text: healthyObjects },
    { title: 'REVISION', text: ({ revision }) => (revision === 0 ? '' : String(revision)) },
    { title: 'SINCE', text: ({ changeTime }) => ageText(changeTime) },
    { title: 'MESSAGE', text: ({ message }) => message },
  ],
};
export const verbs: VerbDefinitions = {
  get: (command) =>
    command
      .command('health')
      .description('how a stack does on each of its agents, the worst first; -o wide: which objects are not healthy')
      .argument('<stack>')
      .argument('[agent]')
      .option('--agent <agent>', 'only on this agent')
      .option('--history', 'how that changed, newest first')
      .action(withSession(getHealth)),
};

interface Options {
  readonly agent?: string;
  readonly history?: boolean;
}

async function getHealth(
  { broker, out }: Session,
  stack: string,
  named: string | undefined,
  options: Options,
): Promise<void> {
  const of = { stack, agent: named ?? options.agent };
  if (options.history) {
    const { history } = await broker.getStackHealth({ ...of, pageSize: 1 });
    printList(out, healthChangeView, history);
    return;
  }
  let whole: GetStackHealthResponse | undefined;
  const agents = await allPages(
    async (page) => {
      const answer = await broker.getStackHealth({ ...of, ...page });
      whole ??= answer;
      return answer;
    },
    (page) => page.agents,
  );
  if (out.format === 'json' || out.format === 'yaml') {
    const answer = { ...whole!, agents, nextPageToken: '' };
    printJson(out, jsonOf(GetStackHealthResponseSchema, answer));
    return;
  }
  printList(out, agentHealthView, agents);
  if (out.wide) printSection(out, 'Not healthy', unhealthyObjectsText(out, agents));
}

/** "2 of 3"; the broker keeps the names of at most 100 that are not healthy. */
function healthyObjects({ objects, objectCount }: AgentHealth): string {
  if (objectCount === 0) return '';
  return `${Math.max(0, objectCount - objects.length)} of ${objectCount}`;
}
