import { Option } from 'commander';
import {
  AgentState,
  type FleetMember,
  FleetMemberSchema,
  FleetSchema,
  WatchFleetResponseSchema,
} from '../../../gen/brokkr/v1/fleet_pb.ts';
import { fieldLines, printSection } from '../../format/describe.ts';
import { choicesOf, pluralize, styledAgentStates, valueOfLabel } from '../../format/enum-labels.ts';
import { fleetFields, fleetLine, fleetScreen, fleetView, memberLine, sortBySeverity } from '../../format/fleet.ts';
import { omittedText } from '../../format/health.ts';
import { jsonOf, printJson, printList, renderTable } from '../../output/output.ts';
import { openScreen } from '../../output/screen.ts';
import { printStreamItem } from '../../output/stream-output.ts';
import { allPages } from '../../session/pages.ts';
import type { Session } from '../../session/session.ts';
import { type FollowedFleet, followFleet, reconnectingMessage } from '../../stream/follow.ts';
import { type VerbDefinitions, withSession } from '../command.ts';

export const verbs: VerbDefinitions = {
  status: (command) => command.action(withSession(printStatus)),

  get: (command) =>
    command
      .command('fleet')
      .description('agents with their state, health and cluster')
      .addOption(new Option('--state <state>', 'only those in this state').choices(choicesOf(styledAgentStates)))
      .option('-l, --label <label>', 'only those with this label')
      .option('--search <text>', 'only those whose name contains this')
      .option('--troubled', 'only those with something pending, failed, held, ahead or not healthy')
      .action(
        withSession(async (session, { state, ...filter }: Filter) => {
          const wanted = { ...filter, state: valueOfLabel<AgentState>(styledAgentStates, state) };
          printList(session.out, fleetView, await listFleet(session, wanted));
        }),
      ),

  watch: (command) =>
    command
      .command('fleet')
      .description('the agents, and what changes: on a terminal always the whole picture, elsewhere a line each')
      .action(
        withSession(async (session) => {
          if (session.out.format === 'table' && process.stdout.isTTY) await drawFleet(session);
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

function listFleet({ admin }: Session, wanted: FleetFilter, limit?: number): Promise<FleetMember[]> {
  return allPages(
    (page) => admin.listFleet({ ...wanted, ...page }),
    (page) => page.members,
    limit,
  );
}

/** How many in trouble fit below the counts, and among how many they are looked for. */
const maxListedMembers = 20;
const maxReadMembers = 500;

/** The members that need somebody, the most pressing first; at most `readMembers` of those in trouble, and of those offline. */
async function listTroubled(session: Session): Promise<FleetMember[]> {
  const [troubled, offline] = await Promise.all([
    listFleet(session, { troubled: true }, maxReadMembers),
    listFleet(session, { state: AgentState.OFFLINE }, maxReadMembers),
  ]);
  const all = new Map([...troubled, ...offline].map((member) => [member.agent!.id, member]));
  return sortBySeverity([...all.values()]);
}

async function printStatus(session: Session): Promise<void> {
  const { admin, out } = session;
  const [{ fleet }, members] = await Promise.all([admin.getFleet({}), listTroubled(session)]);
  const troubled = members.slice(0, maxListedMembers);
  switch (out.format) {
    case 'json':
    case 'yaml':
      printJson(out, {
        fleet: jsonOf(FleetSchema, fleet!),
        troubled: members.map((member) => jsonOf(FleetMemberSchema, member)),
      });
      break;
    case 'name':
      for (const member of members) out.line(fleetView.name(member));
      break;
    case 'table': {
      for (const line of fieldLines(out, fleetFields(out, fleet!))) out.line(line);
      const { paused } = fleet!;
      if (troubled.length > 0) printSection(out, 'In trouble', renderTable(out, fleetView.columns, troubled));
      else if (paused === 0) out.line('\nNothing needs a look.');
      const more = omittedText(troubled.length, members.length);
      if (more !== '') out.line(`  ${more}: brokkr get fleet --troubled`);
      if (paused > 0)
        out.line(`\n${pluralize(paused, 'agent')} paused, which changes nothing: brokkr get fleet --state paused`);
    }
  }
}

/** What changes, as it comes. */
async function printFleetChanges(session: Session): Promise<void> {
  const { out } = session;
  const names = new Map<string, string>();
  let before = '';
  for await (const { update } of followFleet(session, { onDisconnect: () => out.note(reconnectingMessage) })) {
    const counts = update.fleet ? fleetLine(update.fleet) : before;
    const lines = [
      ...(counts === before ? [] : [counts]),
      ...update.members.map((member) => memberLine(out, member)),
      ...update.goneAgentIds.map((id) => `${names.get(id) ?? id}  gone`),
    ];
    before = counts;
    const isKeepalive = !update.fleet && update.members.length + update.goneAgentIds.length === 0;
    if (!isKeepalive)
      printStreamItem(out, WatchFleetResponseSchema, update, {
        lines: () => lines,
        names: () => update.members.map(fleetView.name),
      });
    for (const { agent } of update.members) names.set(agent!.id, agent!.name);
  }
}

/** Ages grow even when nothing changes. */
const redrawIntervalMs = 1_000;

async function drawFleet(session: Session): Promise<void> {
  const { out } = session;
  const screen = openScreen();
  let last: FollowedFleet | undefined;
  let isBroken = false;
  const draw = () => {
    if (!last?.fleet) return;
    const above = isBroken ? [out.paint('warn', reconnectingMessage)] : [];
    screen.draw([...above, ...fleetScreen(out, last.fleet, [...last.members.values()], screen.rows() - above.length)]);
  };
  const onDisconnect = () => {
    isBroken = true;
  };
  const timer = setInterval(draw, redrawIntervalMs);
  try {
    for await (const followed of followFleet(session, { onDisconnect })) {
      isBroken = false;
      // The first picture at once; what comes then, comes in many small pieces.
      const isFirst = last === undefined;
      last = followed;
      if (isFirst) draw();
    }
  } finally {
    clearInterval(timer);
    screen.close();
  }
}
