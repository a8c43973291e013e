import { Option } from 'commander';
import {
  AgentState,
  type FleetMember,
  FleetMemberSchema,
  FleetSchema,
  WatchFleetResponseSchema,
} from '../../../gen/brokkr/v1/fleet_pb.ts';
import { factLines, printSection } from '../../format/describe.ts';
import { agentStates, choicesOf, count, valueFor } from '../../format/enum-labels.ts';
import { byTrouble, fleetFacts, fleetLine, fleetView, memberLine, pictureOf } from '../../format/fleet.ts';
import { moreText } from '../../format/health.ts';
import { jsonOf, printJson, printList, tableOf } from '../../output/output.ts';
import { openScreen } from '../../output/screen.ts';
import { printNews } from '../../output/stream-output.ts';
import { allPages } from '../../session/pages.ts';
import type { Session } from '../../session/session.ts';
import { type FollowedFleet, followFleet, reconnecting } from '../../stream/follow.ts';
import { type Verbs, withSession } from '../command.ts';

export const verbs: Verbs = {
  status: (command) => command.action(withSession(printStatus)),

  get: (command) =>
    command
      .command('fleet')
      .description('agents with their state, health and cluster')
      .addOption(new Option('--state <state>', 'only those in this state').choices(choicesOf(agentStates)))
      .option('-l, --label <label>', 'only those with this label')
      .option('--search <text>', 'only those whose name contains this')
      .option('--troubled', 'only those with something pending, failed, held, ahead or not healthy')
      .action(
        withSession(async (session, { state, ...filter }: Filter) => {
          const wanted = { ...filter, state: valueFor<AgentState>(agentStates, state) };
          printList(session.out, fleetView, await listFleet(session, wanted));
        }),
      ),

  watch: (command) =>
    command
      .command('fleet')
      .description('the agents, and what changes: on a terminal always the whole picture, elsewhere a line each')
      .action(
        withSession(async (session) => {
          if (session.out.form === 'table' && process.stdout.isTTY) await drawFleet(session);
          else await tellFleet(session);
        }),
      ),
};

interface Filter {
  readonly state?: string;
  readonly label?: string;
  readonly search?: string;
  readonly troubled?: boolean;
}

type Wanted = Omit<Filter, 'state'> & { readonly state?: AgentState };

function listFleet({ admin }: Session, wanted: Wanted, limit?: number): Promise<FleetMember[]> {
  return allPages(
    (page) => admin.listFleet({ ...wanted, ...page }),
    (page) => page.members,
    limit,
  );
}

/** How many in trouble fit below the counts, and among how many they are looked for. */
const listedMembers = 20;
const readMembers = 500;

/** The members that need somebody, the most pressing first; at most `readMembers` of those in trouble, and of those offline. */
async function listTroubled(session: Session): Promise<FleetMember[]> {
  const [troubled, offline] = await Promise.all([
    listFleet(session, { troubled: true }, readMembers),
    listFleet(session, { state: AgentState.OFFLINE }, readMembers),
  ]);
  const all = new Map([...troubled, ...offline].map((member) => [member.agent!.id, member]));
  return byTrouble([...all.values()]);
}

async function printStatus(session: Session): Promise<void> {
  const { admin, out } = session;
  const [{ fleet }, members] = await Promise.all([admin.getFleet({}), listTroubled(session)]);
  const troubled = members.slice(0, listedMembers);
  switch (out.form) {
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
      for (const line of factLines(out, fleetFacts(out, fleet!))) out.line(line);
      const { paused } = fleet!;
      if (troubled.length > 0) printSection(out, 'In trouble', tableOf(out, fleetView.columns, troubled));
      else if (paused === 0) out.line('\nNothing needs a look.');
      const more = moreText(troubled.length, members.length);
      if (more !== '') out.line(`  ${more}: brokkr get fleet --troubled`);
      if (paused > 0)
        out.line(`\n${count(paused, 'agent')} paused, which changes nothing: brokkr get fleet --state paused`);
    }
  }
}

/** What changes, as it comes. */
async function tellFleet(session: Session): Promise<void> {
  const { out } = session;
  const names = new Map<string, string>();
  let before = '';
  for await (const { news } of followFleet(session, { broken: () => out.note(reconnecting) })) {
    const counts = news.fleet ? fleetLine(news.fleet) : before;
    const lines = [
      ...(counts === before ? [] : [counts]),
      ...news.members.map((member) => memberLine(out, member)),
      ...news.goneAgentIds.map((id) => `${names.get(id) ?? id}  gone`),
    ];
    before = counts;
    const isKeepalive = !news.fleet && news.members.length + news.goneAgentIds.length === 0;
    if (!isKeepalive)
      printNews(out, WatchFleetResponseSchema, news, {
        lines: () => lines,
        names: () => news.members.map(fleetView.name),
      });
    for (const { agent } of news.members) names.set(agent!.id, agent!.name);
  }
}

/** Ages grow even when nothing changes. */
const redrawMs = 1_000;

async function drawFleet(session: Session): Promise<void> {
  const { out } = session;
  const screen = openScreen();
  let last: FollowedFleet | undefined;
  let isBroken = false;
  const draw = () => {
    if (!last?.fleet) return;
    const above = isBroken ? [out.paint('warn', reconnecting)] : [];
    screen.draw([...above, ...pictureOf(out, last.fleet, [...last.members.values()], screen.rows() - above.length)]);
  };
  const broken = () => {
    isBroken = true;
  };
  const timer = setInterval(draw, redrawMs);
  try {
    for await (const followed of followFleet(session, { broken })) {
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
