import { randomUUID } from 'node:crypto';
import { Code, ConnectError } from '@connectrpc/connect';
import type { Command } from 'commander';
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
import { annotationEdits, labelEdits, parseAnnotations } from '../../options/edits.ts';
import { Failure } from '../../output/failure.ts';
import { printNewKey } from '../../output/new-key.ts';
import { type Output, printList, printOne, renderSubtable, type View } from '../../output/output.ts';
import { confirm } from '../../output/prompt.ts';
import { allPages } from '../../session/pages.ts';
import type { Session } from '../../session/session.ts';
import { type VerbDefinitions, withSession } from '../command.ts';

const agentView: View<typeof AgentSchema> = {
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
    { title: 'LABELS', text: ({ labels }) => labels.join(',') },
    { title: 'ANNOTATIONS', text: ({ annotations }) => annotationsText(annotations) },
    { title: 'KUBERNETES', text: ({ kubernetesVersion }) => kubernetesVersion },
    { title: 'SEEN', text: ({ lastHeartbeatTime }) => ageText(lastHeartbeatTime) },
  ],
};

const recentEvents = 5;

export const verbs: VerbDefinitions = {
  get: (command) =>
    command
      .command('agents')
      .alias('agent')
      .description('the clusters: for a generator, those that it may place stacks on')
      .argument('[names...]', 'name or id')
      .option('-l, --label <label>', 'only those with this label')
      .option('--show-deleted', 'also those that are being removed; admins only')
      .action(
        withSession(async (session, names: string[], options: { label?: string; showDeleted?: boolean }) => {
          const { admin, broker, out } = session;
          const { label, showDeleted } = options;
          const list = () =>
            showDeleted
              ? allPages((page) => admin.listAgents({ label, showDeleted, ...page }), agentsOf)
              : allPages((page) => broker.listAgents({ label, ...page }), agentsOf);
          const named = names.map((name) => findAgent(session, name));
          printList(out, agentView, names.length > 0 ? await Promise.all(named) : await list());
        }),
      ),

  describe: (command) =>
    command
      .command('agent')
      .alias('agents')
      .description('an agent, what it serves, and its last events')
      .argument('<name>')
      .action(
        withSession(async (session, name: string) => {
          const { broker, out } = session;
          const agent = await findAgent(session, name);
          if (out.format !== 'table') return printOne(out, agentView, agent, () => {});
          const [placements, { events }] = await Promise.all([
            allPages(
              (page) => broker.listPlacements({ agent: agent.id, ...page }),
              (page) => page.placements,
            ),
            broker.listEvents({ agent: agent.id, pageSize: recentEvents }),
          ]);
          printAgent(out, agent);
          printSection(out, 'Stacks', renderSubtable(out, placementView, placements, 'AGENT'));
          printSection(out, 'Last events', renderSubtable(out, eventView, events, 'AGENT'));
        }),
      ),

  create: (command) =>
    command
      .command('agent')
      .description('an identity for a cluster; prints its key, once')
      .argument('<name>')
      .option('--description <text>', 'for people')
      .option('--label <label>', 'stacks with any of its labels come to it; may be repeated', collect)
      .option('--annotation <key=value>', 'may be repeated', collect)
      .option('--generator <name>', 'register it with this generator; may be repeated', collect)
      .option('--pak-file <file>', 'write the key to this new file (0600) instead')
      .action(
        withSession(async ({ admin, out }, name: string, options: CreateOptions) => {
          const answer = await admin.createAgent({
            requestId: randomUUID(),
            name,
            description: options.description,
            labels: options.label,
            annotations: parseAnnotations(options.annotation),
            generators: options.generator,
          });
          printNewKey(out, {
            schema: CreateAgentResponseSchema,
            answer,
            summary: `agent ${name} created`,
            pakFile: options.pakFile,
            retryCommand: `brokkr rotate agent ${name} --now`,
          });
        }),
      ),

  update: (command) =>
    command
      .command('agent')
      .description('its description')
      .argument('<name>')
      .requiredOption('--description <text>', 'for people')
      .option('--etag <etag>', 'only if it has not changed since')
      .action(
        withSession(async ({ admin, out }, name: string, options: { description: string; etag?: string }) => {
          const { agent } = await admin.updateAgent({
            agent: name,
            ...options,
            updateMask: { paths: ['description'] },
          });
          printOne(out, agentView, agent!, () => out.line(`agent ${agent!.name} updated`));
        }),
      ),

  label: (command) => defineEdit(command, 'labels', 'LABEL, or LABEL- to take it away', labelEdits),
  annotate: (command) => defineEdit(command, 'annotations', 'KEY=VALUE, or KEY- to take it away', annotationEdits),

  pause: (command) =>
    command.argument('<agent>').action(
      withSession(async ({ admin, out }, name: string) => {
        const { agent } = await admin.pauseAgent({ agent: name });
        printOne(out, agentView, agent!, () => out.line(`agent ${agent!.name} is paused: it changes nothing`));
      }),
    ),

  resume: (command) =>
    command.argument('<agent>').action(
      withSession(async ({ admin, out }, name: string) => {
        const { agent } = await admin.resumeAgent({ agent: name });
        printOne(out, agentView, agent!, () => out.line(`agent ${agent!.name} goes on`));
      }),
    ),

  rebind: (command) =>
    command
      .argument('<agent>')
      .option('-y, --yes', 'do not ask')
      .action(
        withSession(async (session, name: string, { yes }: { yes?: boolean }) => {
          const { admin, out } = session;
          const found = await findAgent(session, name);
          const consequences = `What it has to remove from cluster ${found.clusterId || '(none yet)'} stays there.`;
          await confirm(`Let agent ${found.name} start on another cluster? ${consequences}`, yes);
          const { agent } = await admin.rebindAgent({ agent: found.id });
          printOne(out, agentView, agent!, () =>
            out.line(`agent ${agent!.name} takes the cluster that it starts on next`),
          );
        }),
      ),

  delete: (command) =>
    command
      .command('agent')
      .alias('agents')
      .description('it first removes everything from its cluster')
      .argument('<name>')
      .option('--orphan', 'end it at once, and leave its objects in the cluster')
      .option('--etag <etag>', 'only if it has not changed since')
      .option('-y, --yes', 'do not ask')
      .action(
        withSession(async (session, name: string, options: { orphan?: boolean; etag?: string; yes?: boolean }) => {
          const { admin, out } = session;
          const { orphan, etag, yes } = options;
          const found = await findAgent(session, name);
          const fate = orphan
            ? 'its objects stay in the cluster'
            : `it removes its stacks first: ${placementCountsText(found.placements)}`;
          await confirm(`Delete agent ${found.name}? (${fate})`, yes);
          const { agent } = await admin.deleteAgent({ agent: found.id, orphan, etag });
          printOne(out, agentView, agent!, () => {
            const removing = agent!.placements?.removing ?? 0;
            const rest = removing > 0 ? `, as soon as it has removed ${pluralize(removing, 'stack')}` : '';
            out.line(`agent ${agent!.name} deleted${rest}`);
          });
        }),
      ),
};

interface CreateOptions {
  readonly description?: string;
  readonly label?: string[];
  readonly annotation?: string[];
  readonly generator?: string[];
  readonly pakFile?: string;
}

const agentsOf = (page: { readonly agents: readonly Agent[]; readonly nextPageToken: string }) => page.agents;

/** An agent by name or id. A generator may not ask for one, but finds it among those that it may use. */
export async function findAgent({ admin, broker }: Session, name: string): Promise<Agent> {
  try {
    return (await admin.getAgent({ agent: name })).agent!;
  } catch (error) {
    if (ConnectError.from(error).code !== Code.PermissionDenied) throw error;
  }
  const agents = await allPages((page) => broker.listAgents(page), agentsOf);
  const found = agents.find((agent) => agent.name === name || agent.id === name);
  if (!found)
    throw new Failure(`agent "${name}" not found`, { hint: 'brokkr get agents shows those that you may use' });
  return found;
}

function printAgent(out: Output, agent: Agent): void {
  printFields(out, [
    ['Agent', agent.name],
    ['Id', agent.id],
    ['Description', agent.description],
    ['Status', statusOf(agent)],
    ['Last heartbeat', timestampText(agent.lastHeartbeatTime) || 'never'],
    ['Labels', agent.labels.join(', ')],
    ['Annotations', annotationsText(agent.annotations)],
    ['Generators', agent.generators.join(', ')],
    ['Cluster', agent.clusterId],
    ['Cluster answers', agent.online ? clusterText(agent) : ''],
    ['Connected', agent.connectTime ? `since ${timestampText(agent.connectTime)}` : ''],
    ['Kubernetes', agent.kubernetesVersion],
    ['Version', agent.version],
    ['Starts', String(agent.incarnation)],
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

/** The `label` and `annotate` commands of an agent. */
function defineEdit(
  command: Command,
  what: string,
  words: string,
  read: (edits: readonly string[]) => object,
): Command {
  return command
    .command('agent')
    .alias('agents')
    .description(`the ${what} of an agent`)
    .argument('<name>')
    .argument('<edits...>', words)
    .option('--etag <etag>', 'only if it has not changed since')
    .action(
      withSession(async ({ admin, out }, name: string, edits: string[], options: { etag?: string }) => {
        const { agent } = await admin.updateAgent({ agent: name, etag: options.etag, ...read(edits) });
        printOne(out, agentView, agent!, () => {
          const now = what === 'labels' ? agent!.labels.join(', ') : annotationsText(agent!.annotations);
          out.line(`agent ${agent!.name}: ${what} ${now || 'none'}; stacks ${placementCountsText(agent!.placements)}`);
        });
      }),
    );
}
