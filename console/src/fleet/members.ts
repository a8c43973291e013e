import type { Fleet, FleetMember, WatchFleetResponse } from '../../../gen/brokkr/v1/fleet_pb.ts';
import { agentStates, healths, wordOf } from '../enum-labels.ts';

/** The fleet as the stream told it so far. */
export interface Members {
  readonly fleet: Fleet | undefined;
  readonly byId: ReadonlyMap<string, FleetMember>;
}

export const noMembers: Members = { fleet: undefined, byId: new Map() };

/** What is known after more messages; the first of a stream begins anew. */
export function withMessages(
  before: Members,
  messages: readonly { message: WatchFleetResponse; first: boolean }[],
): Members {
  let { fleet } = before;
  let byId = new Map(before.byId);
  for (const { message, first } of messages) {
    if (first) byId = new Map();
    fleet = message.fleet ?? fleet;
    for (const member of message.members) if (member.agent) byId.set(member.agent.id, member);
    for (const id of message.goneAgentIds) byId.delete(id);
  }
  return { fleet, byId };
}

export const groupings = ['none', 'state', 'health', 'label', 'cluster', 'version'] as const;
export type Grouping = (typeof groupings)[number];

export interface Wish {
  readonly search: string;
  /** A word of `agentStates`; '' for all. */
  readonly state: string;
  readonly label: string;
  readonly troubled: boolean;
  readonly group: Grouping;
}

/** A member, or the heading of a group of them. */
export type Row =
  | { readonly kind: 'group'; readonly name: string; readonly count: number }
  | { readonly kind: 'member'; readonly group: string; readonly member: FleetMember };

const collator = new Intl.Collator('en', { numeric: true });

/** The rows to show: those that are wished for, by name, in groups. A member with several labels is in several groups. */
export function rowsOf({ byId }: Members, wish: Wish, closed: ReadonlySet<string>): Row[] {
  const chosen = [...byId.values()]
    .filter((member) => matches(member, wish))
    .sort((a, b) => collator.compare(a.agent?.name ?? '', b.agent?.name ?? ''));
  if (wish.group === 'none') return chosen.map((member) => ({ kind: 'member', group: '', member }));
  const groups = new Map<string, FleetMember[]>();
  for (const member of chosen)
    for (const name of groupsOf(member, wish.group)) {
      const group = groups.get(name);
      if (group) group.push(member);
      else groups.set(name, [member]);
    }
  return [...groups]
    .sort(([a], [b]) => collator.compare(a, b))
    .flatMap(([name, members]) => [
      { kind: 'group' as const, name, count: members.length },
      ...(closed.has(name) ? [] : members.map((member) => ({ kind: 'member' as const, group: name, member }))),
    ]);
}

function matches(member: FleetMember, { search, state, label, troubled }: Wish): boolean {
  const { agent } = member;
  if (!agent) return false;
  if (state !== '' && wordOf(agentStates, member.state).word !== state) return false;
  if (label !== '' && !agent.labels.includes(label)) return false;
  if (troubled && !isTroubled(member)) return false;
  const wanted = search.toLowerCase();
  return (
    wanted === '' || agent.name.includes(wanted) || agent.labels.some((each) => each.toLowerCase().includes(wanted))
  );
}

/** Whether it needs a look: out of reach, or something of it is not as it should be. */
function isTroubled({ agent, state, health }: FleetMember): boolean {
  const { pending = 0, failed = 0, held = 0, ahead = 0 } = agent?.placements ?? {};
  const { word } = wordOf(agentStates, state);
  return (
    pending + failed + held + ahead > 0 ||
    word === 'offline' ||
    health > 1 ||
    (word === 'online' && agent?.clusterReachable === false)
  );
}

function groupsOf({ agent, state, health }: FleetMember, grouping: Exclude<Grouping, 'none'>): readonly string[] {
  switch (grouping) {
    case 'state':
      return [wordOf(agentStates, state).word];
    case 'health':
      return [wordOf(healths, health).word];
    case 'label':
      return agent?.labels.length ? agent.labels : ['no label'];
    case 'cluster':
      return [agent?.clusterId || 'no cluster yet'];
    case 'version':
      return [agent?.kubernetesVersion || 'unknown version'];
  }
}

/** Every label there is, by name. */
export function labelsOf({ byId }: Members): string[] {
  return [...new Set([...byId.values()].flatMap(({ agent }) => agent?.labels ?? []))].sort(collator.compare);
}
