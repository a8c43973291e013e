import { Option } from 'commander';
import {
  AgentState,
  type FleetMember,
  FleetMemberSchema,
  FleetSchema,
  WatchFleetResponseSchema,
} from '../../../gen/brokkr/v1/fleet_pb.ts';
import { Role } from '../../../gen/brokkr/v1/options_pb.ts';
import { ProblemSchema } from '../../../gen/brokkr/v1/problem_pb.ts';
import { fieldLines, printSection } from '../../format/describe.ts';
import { choicesOf, pluralize, styledAgentStates, valueOfLabel } from '../../format/enum-labels.ts';
import {
  fleetFields,
  fleetLine,
  fleetScreen,
  fleetView,
  isClusterUnreachable,
  memberLine,
  sortBySeverity,
} from '../../format/fleet.ts';
import { omittedText } from '../../format/health.ts';
import { problemLines } from '../../format/problem.ts';
import type { Output } from '../../output/output.ts';
import { openScreen } from '../../output/screen.ts';
import { printStreamItem } from '../../output/stream-output.ts';
import { renderTable } from '../../output/table.ts';
import { jsonOf, printJson, printList } from '../../output/view.ts';
import { allPages } from '../../session/pages.ts';
import type { Session } from '../../session/session.ts';
import { type FollowedFleet, followFleet, reconnectingMessage } from '../../stream/follow.ts';
import { type VerbDefinitions, withSession } from '../command.ts';
import { ownStatus, type Status } from './own-status.ts';

export const verbs: VerbDefinitions = {
  status: (command) => command.action(withSession(printStatusOf)),

  get: (command) =>
    command
      .command('fleet')
      .description('agents with their state, health and cluster')
      .addOption(new Option('--state <state>', 'only those in this state').choices(choicesOf(styledAgentStates)))
      .option('-l, --label <label>', 'only those with this label')
      .option('--search <text>', 'only those whose name contains this')
      .option('--troubled', 'only those with a pending, failed, held, ahead or unhealthy placement')
      .action(
        withSession(async (session, { state, ...filter }: Filter) => {
          const fleetFilter = { ...filter, state: valueOfLabel<AgentState>(styledAgentStates, state) };
          printList(session.output, fleetView, await listFleet(session, fleetFilter));
        }),
      ),

  watch: (command) =>
    command
      .command('fleet')
      .description('agents and their changes: a live table on a terminal, otherwise a line per change')
      .action(
        withSession(async (session) => {
          if (session.output.format === 'table' && process.stdout.isTTY) await drawFleet(session);
          else await printFleetChanges(session);
        }),
      ),
};

interface Filter {
  readonly state?: string;
  readonly label?: string;
  readonly search?: string;
  readonly troubled?: boolean;
}

type FleetFilter = Omit<Filter, 'state'> & { readonly state?: AgentState };

function listFleet({ admin }: Session, filter: FleetFilter, limit?: number): Promise<FleetMember[]> {
  return allPages(
    (page) => admin.listFleet({ ...filter, ...page }),
    (page) => page.members,
    limit,
  );
}

/** Members listed below the counts, and members read to choose them from. */
const maxListedMembers = 20;
const maxReadMembers = 500;

/** Lists members with problems, most severe first. Reads at most `maxReadMembers` with problems and as many that are offline. */
async function listTroubled(session: Session): Promise<FleetMember[]> {
  const [troubled, offline] = await Promise.all([
    listFleet(session, { troubled: true }, maxReadMembers),
    listFleet(session, { state: AgentState.OFFLINE }, maxReadMembers),
  ]);
  const byId = new Map([...troubled, ...offline].map((member) => [member.agent!.id, member]));
  return sortBySeverity([...byId.values()]);
}

/** Commands that list what the status only counts. */
const fleetCommands = { unreachable: 'brokkr get fleet', paused: 'brokkr get fleet --state paused' };
const ownCommands: typeof fleetCommands = { unreachable: 'brokkr get agents', paused: 'brokkr get agents' };

/** A generator has no right to the fleet: it gets the same view of its own stacks and agents. */
async function printStatusOf(session: Session): Promise<void> {
  const { admin, broker } = session;
  const [{ role }, { problems, omitted }] = await Promise.all([broker.whoAmI({}), broker.listProblems({})]);
  const byCause = { problems, omittedProblems: omitted };
  if (role === Role.GENERATOR) return printStatus(session, { ...(await ownStatus(session)), ...byCause }, ownCommands);
  const [{ fleet }, members] = await Promise.all([admin.getFleet({}), listTroubled(session)]);
  return printStatus(session, { fleet: fleet!, members, ...byCause }, fleetCommands);
}

function printStatus({ output }: Session, status: Status, commands: typeof fleetCommands): void {
  const { fleet, members, problems } = status;
  switch (output.format) {
    case 'json':
    case 'yaml':
      printJson(output, {
        fleet: jsonOf(FleetSchema, fleet),
        problems: problems.map((problem) => jsonOf(ProblemSchema, problem)),
        troubled: members.map((member) => jsonOf(FleetMemberSchema, member)),
      });
      break;
    case 'name':
      for (const member of members) output.line(fleetView.name(member));
      break;
    case 'table':
      for (const line of fieldLines(output, fleetFields(output, fleet))) output.line(line);
      printProblems(output, status);
      printAgents(output, status, commands);
  }
}

/** Problems listed by `status`; `get problems` lists more. */
const maxListedProblems = 10;

function printProblems(output: Output, { problems, omittedProblems }: Status): void {
  const listed = problems.slice(0, maxListedProblems).map((problem) => problemLines(output, problem).join('\n'));
  printSection(output, 'Problems', listed.join('\n'));
  const more = omittedText(listed.length, problems.length + omittedProblems);
  if (more !== '') output.line(`  ${more}: brokkr get problems`);
}

/** Lists the agents that do not answer or do not reach their cluster; what is wrong with their stacks is listed as problems. */
function printAgents(output: Output, { fleet, members, problems }: Status, commands: typeof fleetCommands): void {
  const unreachable = members.filter(
    ({ agent, state }) => state === AgentState.OFFLINE || isClusterUnreachable(agent!),
  );
  const listed = unreachable.slice(0, maxListedMembers);
  if (listed.length > 0) printSection(output, 'Agents with problems', renderTable(output, fleetView.columns, listed));
  else if (problems.length + fleet.paused === 0) output.line('\nNo problems found.');
  const more = omittedText(listed.length, unreachable.length);
  if (more !== '') output.line(`  ${more}: ${commands.unreachable}`);
  if (fleet.paused > 0) output.line(`\n${pluralize(fleet.paused, 'agent')} paused: ${commands.paused}`);
}

/** Prints each change of the fleet as it arrives. */
async function printFleetChanges(session: Session): Promise<void> {
  const { output } = session;
  const names = new Map<string, string>();
  let previousCounts = '';
  for await (const { update } of followFleet(session, { onDisconnect: () => output.note(reconnectingMessage) })) {
    const counts = update.fleet ? fleetLine(update.fleet) : previousCounts;
    const lines = [
      ...(counts === previousCounts ? [] : [counts]),
      ...update.members.map((member) => memberLine(output, member)),
      ...update.goneAgentIds.map((id) => `${names.get(id) ?? id}  removed`),
    ];
    previousCounts = counts;
    const isKeepalive = !update.fleet && update.members.length + update.goneAgentIds.length === 0;
    if (!isKeepalive)
      printStreamItem(output, WatchFleetResponseSchema, update, {
        lines: () => lines,
        names: () => update.members.map(fleetView.name),
      });
    for (const { agent } of update.members) names.set(agent!.id, agent!.name);
  }
}

/** Ages grow even without changes, so the screen is redrawn regularly. */
const redrawIntervalMs = 1_000;

async function drawFleet(session: Session): Promise<void> {
  const { output } = session;
  const screen = openScreen();
  let latest: FollowedFleet | undefined;
  let isReconnecting = false;
  const draw = () => {
    if (!latest?.fleet) return;
    const banner = isReconnecting ? [output.paint('warn', reconnectingMessage)] : [];
    screen.draw([
      ...banner,
      ...fleetScreen(output, latest.fleet, [...latest.members.values()], screen.rows() - banner.length),
    ]);
  };
  const onDisconnect = () => {
    isReconnecting = true;
  };
  const timer = setInterval(draw, redrawIntervalMs);
  try {
    for await (const followed of followFleet(session, { onDisconnect })) {
      isReconnecting = false;
      // Draws the first state immediately; the many small changes after it wait for the timer.
      const isFirst = latest === undefined;
      latest = followed;
      if (isFirst) draw();
    }
  } finally {
    clearInterval(timer);
    screen.close();
  }
}
