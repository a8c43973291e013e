import type { Fleet, FleetMember, WatchFleetResponse } from '../../../gen/brokkr/v1/fleet_pb.ts';
import { agentStateLabels, healthLabels, labelOf } from '../enum-labels.ts';

/** The fleet as received from the stream so far. */
export interface Members {
  readonly fleet: Fleet | undefined;
  readonly byId: ReadonlyMap<string, FleetMember>;
}

export const emptyMembers: Members = { fleet: undefined, byId: new Map() };

/** Applies messages to the fleet; the first message of a stream replaces it. */
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

export interface FleetFilter {
  readonly search: string;
  /** A label text of `agentStates`; '' for all. */
  readonly state: string;
  readonly label: string;
  readonly troubled: boolean;
  readonly group: Grouping;
}

/** A row of the list: a member, or the heading of a group. */
export type Row =
  | { readonly kind: 'group'; readonly name: string; readonly count: number }
  | { readonly kind: 'member'; readonly group: string; readonly member: FleetMember };

const collator = new Intl.Collator('en', { numeric: true });

/** Returns the rows that match the filter, in groups and by name. Grouped by label, a member with several labels appears in several groups. */
export function rowsOf({ byId }: Members, filter: FleetFilter, closed: ReadonlySet<string>): Row[] {
  const chosen = [...byId.values()]
    .filter((member) => matches(member, filter))
    .sort((a, b) => collator.compare(a.agent?.name ?? '', b.agent?.name ?? ''));
  if (filter.group === 'none') return chosen.map((member) => ({ kind: 'member', group: '', member }));
  const groups = new Map<string, FleetMember[]>();
  for (const member of chosen)
    for (const name of groupsOf(member, filter.group)) {
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

function matches(member: FleetMember, { search, state, label, troubled }: FleetFilter): boolean {
  const { agent } = member;
  if (!agent) return false;
  if (state !== '' && labelOf(agentStateLabels, member.state).text !== state) return false;
  if (label !== '' && !agent.labels.includes(label)) return false;
  if (troubled && !needsAttention(member)) return false;
  const wanted = search.toLowerCase();
  return (
    wanted === '' || agent.name.includes(wanted) || agent.labels.some((each) => each.toLowerCase().includes(wanted))
  );
}

/** Returns whether an agent needs attention: it is offline, its cluster is unreachable, or a placement or its health is not as desired. */
function needsAttention({ agent, state, health }: FleetMember): boolean {
  const { pending = 0, failed = 0, held = 0, ahead = 0 } = agent?.placements ?? {};
  const { text } = labelOf(agentStateLabels, state);
  return (
    pending + failed + held + ahead > 0 ||
    text === 'offline' ||
    health > 1 ||
    (text === 'online' && agent?.clusterReachable === false)
  );
}

function groupsOf({ agent, state, health }: FleetMember, grouping: Exclude<Grouping, 'none'>): readonly string[] {
  switch (grouping) {
    case 'state':
      return [labelOf(agentStateLabels, state).text];
    case 'health':
      return [labelOf(healthLabels, health).text];
    case 'label':
      return agent?.labels.length ? agent.labels : ['no label'];
    case 'cluster':
      return [agent?.clusterId || 'no cluster yet'];
    case 'version':
      return [agent?.kubernetesVersion || 'unknown version'];
  }
}

/** Returns all labels of the fleet, sorted. */
export function labelsOf({ byId }: Members): string[] {
  return [...new Set([...byId.values()].flatMap(({ agent }) => agent?.labels ?? []))].sort(collator.compare);
}
