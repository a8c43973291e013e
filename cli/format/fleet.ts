import { durationMs } from '@bufbuild/protobuf/wkt';
import type { Agent } from '../../gen/brokkr/v1/cluster_agent_pb.ts';
import { AgentState, type Fleet, type FleetMember, FleetMemberSchema } from '../../gen/brokkr/v1/fleet_pb.ts';
import { Health } from '../../gen/brokkr/v1/health_pb.ts';
import { type Output, renderTable, type View } from '../output/output.ts';
import { clockTime } from '../output/stream-output.ts';
import { fieldLines } from './describe.ts';
import {
  ageText,
  joinCounts,
  placementCountsText,
  placementCountsTone,
  styledAgentStates,
  styledLabelOf,
} from './enum-labels.ts';
import { healthCountsText, healthCountsTone, healthText, healthTone } from './health.ts';

export const fleetView: View<typeof FleetMemberSchema> = {
  schema: FleetMemberSchema,
  listField: 'members',
  displayName: 'agents',
  name: ({ agent }) => agent!.name,
  columns: [
    { title: 'AGENT', text: ({ agent }) => agent!.name },
    { title: 'STATE', text: stateText, tone: ({ state }) => styledLabelOf(styledAgentStates, state).tone },
    { title: 'HEALTH', text: healthText, tone: healthTone },
    {
      title: 'STACKS',
      text: ({ agent }) => placementCountsText(agent!.placements),
      tone: ({ agent }) => placementCountsTone(agent!.placements),
    },
    {
      title: 'CLUSTER',
      text: ({ agent }) => clusterText(agent!),
      tone: (member) => (isClusterUnreachable(member) ? 'bad' : undefined),
    },
    { title: 'SEEN', text: ({ agent }) => ageText(agent!.lastHeartbeatTime) },
    { title: 'CONNECTED', text: ({ agent }) => ageText(agent!.connectTime), wide: true },
    { title: 'KUBERNETES', text: ({ agent }) => agent!.kubernetesVersion, wide: true },
    { title: 'VERSION', text: ({ agent }) => agent!.version, wide: true },
    { title: 'LABELS', text: ({ agent }) => agent!.labels.join(','), wide: true },
  ],
};

/** Everything on a screen of so many rows: the counts, then the members, those in trouble first. */
export function fleetScreen(out: Output, fleet: Fleet, members: readonly FleetMember[], rows: number): string[] {
  const facts = [...fieldLines(out, [['At', clockTime()], ...fleetFields(out, fleet)]), ''];
  const sorted = sortBySeverity(members);
  // Below the table's heading, all of them, or all but one and a line about the rest.
  const room = Math.max(1, rows - facts.length - 1);
  const shown = sorted.length <= room ? sorted : sorted.slice(0, Math.max(1, room - 1));
  if (shown.length === 0) return facts;
  return [...facts, ...renderTable(out, screenColumns, shown).split('\n'), ...hiddenLines(sorted.slice(shown.length))];
}

function hiddenLines(hidden: readonly FleetMember[]): string[] {
  if (hidden.length === 0) return [];
  const troubled = hidden.filter((member) => severity(member) > 0).length;
  return [`and ${hidden.length} more, ${troubled > 0 ? `${troubled} of them` : 'none of them'} in trouble`];
}

/** The most pressing first. */
export function sortBySeverity(members: readonly FleetMember[]): FleetMember[] {
  return members.toSorted((a, b) => severity(b) - severity(a) || nameOrder.compare(a.agent!.name, b.agent!.name));
}

/** "edge-2" before "edge-10". */
const nameOrder = new Intl.Collator('en', { numeric: true });

/** A watch does not tell of mere heartbeats: of an agent that lives, it is not known when it was seen last. */
const screenColumns = fleetView.columns.map((column) =>
  column.title === 'SEEN'
    ? { ...column, text: (member: FleetMember) => (member.agent!.online ? 'now' : column.text(member)) }
    : column,
);

/** What a member needs from somebody: the higher, the more pressing; 0 for nothing. */
function severity(member: FleetMember): number {
  const { pending = 0, failed = 0, held = 0, ahead = 0 } = member.agent?.placements ?? {};
  if (failed + held + ahead > 0 || member.health === Health.FAILED) return 4;
  if (member.state === AgentState.OFFLINE || isClusterUnreachable(member) || member.health === Health.UNKNOWN) return 3;
  if (member.health === Health.DEGRADED) return 2;
  return pending > 0 || member.health === Health.PROGRESSING ? 1 : 0;
}

/** The counts a line each: what is counted, how it is, and how that looks. */
export function fleetFields(out: Output, fleet: Fleet): (readonly [label: string, text: string])[] {
  const { clusterUnreachable, stacks, placements, health, oldestPendingTime } = fleet;
  const since = oldestPendingTime ? `; one has been waiting for ${ageText(oldestPendingTime)}` : '';
  return [
    ['Agents', out.paint(fleet.offline > 0 ? 'bad' : undefined, agentsText(fleet))],
    ['Clusters', clusterUnreachable > 0 ? out.paint('bad', `${clusterUnreachable} unreachable`) : ''],
    ['Stacks', String(stacks)],
    ['Placements', `${out.paint(placementCountsTone(placements), placementCountsText(placements))}${since}`],
    ['Health', out.paint(healthCountsTone(health), healthCountsText(health))],
  ];
}

/** The counts in one line. */
export function fleetLine({ stacks, placements, health, ...fleet }: Fleet): string {
  const cut = fleet.clusterUnreachable > 0 ? [`${fleet.clusterUnreachable} clusters unreachable`] : [];
  const how = healthCountsText(health);
  return [
    `agents: ${agentsText(fleet)}`,
    ...cut,
    `stacks: ${stacks}`,
    `placements: ${placementCountsText(placements)}`,
    ...(how === '' ? [] : [`health: ${how}`]),
  ].join('; ');
}

/** One member in one line. */
export function memberLine(out: Output, member: FleetMember): string {
  const { text, tone } = styledLabelOf(styledAgentStates, member.state);
  const health = healthText(member);
  return [
    member.agent!.name,
    out.paint(tone, text),
    ...(health === '' ? [] : [out.paint(healthTone(member), health)]),
    `stacks: ${placementCountsText(member.agent!.placements)}`,
    ...(isClusterUnreachable(member) ? [out.paint('bad', 'cluster unreachable')] : []),
  ].join('  ');
}

function agentsText({
  online,
  offline,
  paused,
  neverStarted,
  draining,
}: Omit<Fleet, 'stacks' | 'placements' | 'health'>) {
  return joinCounts({ online, offline, paused, draining, 'never-started': neverStarted }) || 'none';
}

function stateText({ state }: FleetMember): string {
  return styledLabelOf(styledAgentStates, state).text;
}

function isClusterUnreachable({ agent }: FleetMember): boolean {
  return agent !== undefined && isUnreachable(agent);
}

/** Of an agent that lives. One that has never told how it reaches its cluster has no latency either, and is not blamed. */
function isUnreachable({ online, clusterReachable, clusterLatency }: Agent): boolean {
  return online && !clusterReachable && clusterLatency !== undefined;
}

/** "12ms", or "unreachable"; empty when nobody knows. */
export function clusterText(agent: Agent): string {
  if (isUnreachable(agent)) return 'unreachable';
  return agent.clusterReachable && agent.clusterLatency ? `${Math.round(durationMs(agent.clusterLatency))}ms` : '';
}
