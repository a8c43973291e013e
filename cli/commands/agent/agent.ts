import { randomUUID } from 'node:crypto';
import { Code, ConnectError } from '@connectrpc/connect';
import { type Agent, AgentSchema, CreateAgentResponseSchema } from '../../../gen/brokkr/v1/cluster_agent_pb.ts';
import { AgentState } from '../../../gen/brokkr/v1/fleet_pb.ts';
import { annotationsText, printFields, printSection } from '../../format/describe.ts';
import {
  ageText,
  placementCountsText,
  placementCountsTone,
  pluralize,
  styledAgentStates,
  styledLabelOf,
  timestampText,
} from '../../format/enum-labels.ts';
import { eventView } from '../../format/event.ts';
import { clusterText } from '../../format/fleet.ts';
import { placementView } from '../../format/placement.ts';
import { collect } from '../../options/collect.ts';
import { parseAnnotations } from '../../options/edits.ts';
import { Failure } from '../../output/failure.ts';
import { printNewKey } from '../../output/new-key.ts';
import type { Output } from '../../output/output.ts';
import { confirm } from '../../output/prompt.ts';
import { printEach, printList, printOne, renderSubtable, type View } from '../../output/view.ts';
import { allPages, namedOrAll } from '../../session/pages.ts';
import type { Session } from '../../session/session.ts';
import { type VerbDefinitions, withSession } from '../command.ts';
import { annotateCommand, type EditableNoun, labelCommand, metadataText } from '../metadata.ts';

/** Prints agents. */
export const agentView: View<typeof AgentSchema> = {
  schema: AgentSchema,
  listField: 'agents',
  name: ({ name }) => name,
  columns: [
    { title: 'NAME', text: ({ name }) => name },
    { title: 'STATUS', text: statusOf, tone: (agent) => (statusOf(agent) === 'online' ? 'good' : 'warn') },
    {
      title: 'STACKS',
      text: ({ placements }) => placementCountsText(placements),
      tone: ({ placements }) => placementCountsTone(placements),
    },
    { title: 'LABELS', text: ({ labels }) => labels.join(','), drop: 2 },
    { title: 'ANNOTATIONS', text: ({ annotations }) => annotationsText(annotations), drop: 1 },
    { title: 'KUBERNETES', text: ({ kubernetesVersion }) => kubernetesVersion, drop: 3 },
    { title: 'SEEN', text: ({ lastHeartbeatTime }) => ageText(lastHeartbeatTime) },
  ],
};

const recentEvents = 5;

const editableAgent: EditableNoun<Agent> = {
  noun: 'agent',
  list: listAgents,
  update: async ({ admin }, name, update) => (await admin.updateAgent({ agent: name, ...update })).agent!,
  print: (output, agents, field) =>
    printEach(output, agentView, agents, (agent) => {
      const stacks = placementCountsText(agent.placements);
      return `agent ${agent.name}: ${metadataText(field, agent)}; stacks ${stacks}`;
    }),
};

export const verbs: VerbDefinitions = {
  get: (command) =>
    command
      .command('agents')
      .alias('agent')
      .description('agents; a generator sees those that it may use')
      .argument('[names...]', 'name or id')
      .option('-l, --label <label>', 'only those with this label')
      .option('--show-deleted', 'include those that are being deleted; admins only')
      .action(withSession(getAgents)),

  describe: (command) =>
    command
      .command('agent')
      .alias('agents')
      .description('an agent with its stacks and latest events')
      .argument('<name>')
      .action(withSession(describeAgent)),

  create: (command) =>
    command
      .command('agent')
      .description('an agent for a cluster; prints its key once')
      .argument('<name>')
      .option('--description <text>', 'free text')
      .option('--label <label>', 'stacks with one of its labels are placed on it; repeatable', collect)
      .option('--annotation <key=value>', 'annotation of the agent; repeatable', collect)
      .option('--generator <name>', 'register it with this generator; repeatable', collect)
      .option('--pak-file <file>', 'write the key to this new file (mode 0600) instead of printing it')
      .action(withSession(createAgent)),

  update: (command) =>
    command
      .command('agent')
      .description("an agent's description")
      .argument('<name>')
      .requiredOption('--description <text>', 'free text')
      .option('--etag <etag>', 'change it only if this is still its etag')
      .action(
        withSession(async ({ admin, output }, name: string, options: { description: string; etag?: string }) => {
          const updateMask = { paths: ['description'] };
          const { agent } = await admin.updateAgent({ agent: name, ...options, updateMask });
          printOne(output, agentView, agent!, () => output.line(`agent ${agent!.name} updated`));
        }),
      ),

  label: labelCommand(editableAgent),
  annotate: annotateCommand(editableAgent),

  rebind: (command) =>
    command.argument('<agent>').option('-y, --yes', 'skip the confirmation prompt').action(withSession(rebindAgent)),

  delete: (command) =>
    command
      .command('agent')
      .alias('agents')
      .description('delete an agent once it has removed everything from its cluster')
      .argument('<name>')
      .option('--orphan', 'delete it immediately and leave its objects in the cluster')
      .option('--etag <etag>', 'delete it only if this is still its etag')
      .option('-y, --yes', 'skip the confirmation prompt')
      .action(withSession(deleteAgent)),
};

const agentsOf = (page: { readonly agents: readonly Agent[]; readonly nextPageToken: string }) => page.agents;

/** Lists the agents that the caller may use. */
export function listAgents({ broker }: Session): Promise<Agent[]> {
  return allPages((page) => broker.listAgents(page), agentsOf);
}

interface Filter {
  readonly label?: string;
  readonly showDeleted?: boolean;
}

async function getAgents(session: Session, names: string[], { label, showDeleted }: Filter): Promise<void> {
  const { admin, broker, output } = session;
  const agents = await namedOrAll(
    names,
    (name) => findAgent(session, name),
    () =>
      showDeleted
        ? allPages((page) => admin.listAgents({ label, showDeleted, ...page }), agentsOf)
        : allPages((page) => broker.listAgents({ label, ...page }), agentsOf),
  );
  printList(output, agentView, agents);
}

async function describeAgent(session: Session, name: string): Promise<void> {
  const { broker, output } = session;
  const agent = await findAgent(session, name);
  if (output.format !== 'table') return printOne(output, agentView, agent, () => {});
  const [placements, { events }] = await Promise.all([
    allPages(
      (page) => broker.listPlacements({ agent: agent.id, ...page }),
      (page) => page.placements,
    ),
    broker.listEvents({ agent: agent.id, pageSize: recentEvents }),
  ]);
  printAgent(output, agent);
  printSection(output, 'Stacks', renderSubtable(output, placementView, placements, 'AGENT'));
  printSection(output, 'Latest events', renderSubtable(output, eventView, events, 'AGENT'));
}

interface CreateOptions {
  readonly description?: string;
  readonly label?: string[];
  readonly annotation?: string[];
  readonly generator?: string[];
  readonly pakFile?: string;
}

async function createAgent({ admin, output }: Session, name: string, options: CreateOptions): Promise<void> {
  const response = await admin.createAgent({
    requestId: randomUUID(),
    name,
    description: options.description,
    labels: options.label,
    annotations: parseAnnotations(options.annotation),
    generators: options.generator,
  });
  printNewKey(output, {
    schema: CreateAgentResponseSchema,
    response,
    summary: `agent ${name} created`,
    pakFile: options.pakFile,
    retryCommand: `brokkr rotate agent ${name} --now`,
  });
}

async function rebindAgent(session: Session, name: string, { yes }: { yes?: boolean }): Promise<void> {
  const { admin, output } = session;
  const existing = await findAgent(session, name);
  const cluster = existing.clusterId || '(none yet)';
  const consequences = `Objects that it still has to remove from cluster ${cluster} stay there.`;
  await confirm(`Allow agent ${existing.name} to move to another cluster? ${consequences}`, yes);
  const { agent } = await admin.rebindAgent({ agent: existing.id });
  printOne(output, agentView, agent!, () =>
    output.line(`agent ${agent!.name} binds to the next cluster that it starts on`),
  );
}

interface DeleteOptions {
  readonly orphan?: boolean;
  readonly etag?: string;
  readonly yes?: boolean;
}

async function deleteAgent(session: Session, name: string, { orphan, etag, yes }: DeleteOptions): Promise<void> {
  const { admin, output } = session;
  const existing = await findAgent(session, name);
  const consequences = orphan
    ? 'its objects stay in the cluster'
    : `it removes its stacks first: ${placementCountsText(existing.placements)}`;
  await confirm(`Delete agent ${existing.name}? (${consequences})`, yes);
  const { agent } = await admin.deleteAgent({ agent: existing.id, orphan, etag });
  printOne(output, agentView, agent!, () => {
    const removing = agent!.placements?.removing ?? 0;
    const remaining = removing > 0 ? `; it still has to remove ${pluralize(removing, 'stack')}` : '';
    output.line(`agent ${agent!.name} deleted${remaining}`);
  });
}

/** Finds an agent by name or id. A generator may not read a single agent, so it searches those that it may use. */
export async function findAgent(session: Session, name: string): Promise<Agent> {
  const { admin } = session;
  try {
    return (await admin.getAgent({ agent: name })).agent!;
  } catch (error) {
    if (ConnectError.from(error).code !== Code.PermissionDenied) throw error;
  }
  const agents = await listAgents(session);
  const match = agents.find((agent) => agent.name === name || agent.id === name);
  if (!match) {
    const hint = 'list the agents that you may use with: brokkr get agents';
    throw new Failure(`agent "${name}" not found`, { hint });
  }
  return match;
}

function printAgent(output: Output, agent: Agent): void {
  printFields(output, [
    ['Agent', agent.name],
    ['Id', agent.id],
    ['Description', agent.description],
    ['Status', statusOf(agent)],
    ['Last heartbeat', timestampText(agent.lastHeartbeatTime) || 'never'],
    ['Labels', agent.labels.join(', ')],
    ['Annotations', annotationsText(agent.annotations)],
    ['Generators', agent.generators.join(', ')],
    ['Cluster', agent.clusterId],
    ['Cluster latency', agent.online ? clusterText(agent) : ''],
    ['Connected', agent.connectTime ? `since ${timestampText(agent.connectTime)}` : ''],
    ['Kubernetes', agent.kubernetesVersion],
    ['Version', agent.version],
    ['Incarnation', String(agent.incarnation)],
    ['Placements', placementCountsText(agent.placements)],
    ['Created', timestampText(agent.createTime)],
    ['Deleted', agent.deleteTime ? `${timestampText(agent.deleteTime)}; it is still removing` : ''],
    ['Etag', agent.etag],
  ]);
}

function statusOf({ paused, online, incarnation, deleteTime }: Agent): string {
  const isNew = incarnation === 0n;
  const parts = [
    online ? 'online' : styledLabelOf(styledAgentStates, isNew ? AgentState.NEVER_STARTED : AgentState.OFFLINE).text,
    ...(paused ? ['paused'] : []),
    ...(deleteTime ? ['being deleted'] : []),
  ];
  return parts.join(', ');
}
