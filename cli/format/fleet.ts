import { durationMs } from '@bufbuild/protobuf/wkt';
import type { Agent } from '../../gen/brokkr/v1/cluster_agent_pb.ts';
import { AgentState, type Fleet, type FleetMember, FleetMemberSchema } from '../../gen/brokkr/v1/fleet_pb.ts';
import { Health } from '../../gen/brokkr/v1/health_pb.ts';
import type { Output } from '../output/output.ts';
import { clockTime } from '../output/stream-output.ts';
import { renderTable } from '../output/table.ts';
import type { View } from '../output/view.ts';
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

/** Prints the members of the fleet. */
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
      tone: (member) => (isClusterUnreachable(member.agent!) ? 'bad' : undefined),
    },
    { title: 'SEEN', text: ({ agent }) => ageText(agent!.lastHeartbeatTime) },
    { title: 'CONNECTED', text: ({ agent }) => ageText(agent!.connectTime), wide: true },
    { title: 'KUBERNETES', text: ({ agent }) => agent!.kubernetesVersion, wide: true },
    { title: 'VERSION', text: ({ agent }) => agent!.version, wide: true },
    { title: 'LABELS', text: ({ agent }) => agent!.labels.join(','), wide: true },
  ],
};

/** Renders the fleet for a screen with the given number of rows: the counts, then the members, most severe problems first. */
export function fleetScreen(output: Output, fleet: Fleet, members: readonly FleetMember[], rows: number): string[] {
  const header = [...fieldLines(output, [['Time', clockTime()], ...fleetFields(output, fleet)]), ''];
  const sorted = sortBySeverity(members);
  // Below the table's heading there is room for all members, or for fewer and a line about the hidden ones.
  const available = Math.max(1, rows - header.length - 1);
  const shown = sorted.length <= available ? sorted : sorted.slice(0, Math.max(1, available - 1));
  if (shown.length === 0) return header;
  return [
    ...header,
    ...renderTable(output, screenColumns, shown).split('\n'),
    ...hiddenLines(sorted.slice(shown.length)),
  ];
}

function hiddenLines(hidden: readonly FleetMember[]): string[] {
  if (hidden.length === 0) return [];
  const problemCount = hidden.filter((member) => severity(member) > 0).length;
  return [`and ${hidden.length} more, ${problemCount > 0 ? `${problemCount} of them` : 'none of them'} with problems`];
}

/** Sorts members by the severity of their problems, most severe first, then by name. */
export function sortBySeverity(members: readonly FleetMember[]): FleetMember[] {
  return members.toSorted((a, b) => severity(b) - severity(a) || nameOrder.compare(a.agent!.name, b.agent!.name));
}

/** Sorts "edge-2" before "edge-10". */
const nameOrder = new Intl.Collator('en', { numeric: true });

/** A watch does not report heartbeats, so an online agent counts as seen now. */
const screenColumns = fleetView.columns.map((column) =>
  column.title === 'SEEN'
    ? { ...column, text: (member: FleetMember) => (member.agent!.online ? 'now' : column.text(member)) }
    : column,
);

/** Rates the problems of a member: higher is more severe, 0 means none. */
function severity(member: FleetMember): number {
  const { pending = 0, failed = 0, held = 0, ahead = 0 } = member.agent?.placements ?? {};
  if (failed + held + ahead > 0 || member.health === Health.FAILED) return 4;
  if (
    member.state === AgentState.OFFLINE ||
    (member.agent && isClusterUnreachable(member.agent)) ||
    member.health === Health.UNKNOWN
  )
    return 3;
  if (member.health === Health.DEGRADED) return 2;
  return pending > 0 || member.health === Health.PROGRESSING ? 1 : 0;
}

/** Describes the counts of the fleet as fields with coloured values. */
export function fleetFields(output: Output, fleet: Fleet): (readonly [label: string, text: string])[] {
  const { clusterUnreachable, stacks, placements, health, oldestPendingTime } = fleet;
  const waiting = oldestPendingTime ? `; the oldest has been pending for ${ageText(oldestPendingTime)}` : '';
  return [
    ['Agents', output.paint(fleet.offline > 0 ? 'bad' : undefined, agentsText(fleet))],
    ['Clusters', clusterUnreachable > 0 ? output.paint('bad', `${clusterUnreachable} unreachable`) : ''],
    ['Stacks', String(stacks)],
    ['Placements', `${output.paint(placementCountsTone(placements), placementCountsText(placements))}${waiting}`],
    ['Health', output.paint(healthCountsTone(health), healthCountsText(health))],
  ];
}

/** Describes the counts of the fleet in one line. */
export function fleetLine({ stacks, placements, health, ...fleet }: Fleet): string {
  const unreachable = fleet.clusterUnreachable > 0 ? [`${fleet.clusterUnreachable} clusters unreachable`] : [];
  const healthCounts = healthCountsText(health);
  return [
    `agents: ${agentsText(fleet)}`,
    ...unreachable,
    `stacks: ${stacks}`,
    `placements: ${placementCountsText(placements)}`,
    ...(healthCounts === '' ? [] : [`health: ${healthCounts}`]),
  ].join('; ');
}

/** Describes a member in one line. */
export function memberLine(output: Output, member: FleetMember): string {
  const { text, tone } = styledLabelOf(styledAgentStates, member.state);
  const health = healthText(member);
  return [
    member.agent!.name,
    output.paint(tone, text),
    ...(health === '' ? [] : [output.paint(healthTone(member), health)]),
    `stacks: ${placementCountsText(member.agent!.placements)}`,
    ...(isClusterUnreachable(member.agent!) ? [output.paint('bad', 'cluster unreachable')] : []),
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

/** Answers whether an online agent does not reach its cluster; one that has not reported a latency yet counts as reaching it. */
export function isClusterUnreachable({ online, clusterReachable, clusterLatency }: Agent): boolean {
  return online && !clusterReachable && clusterLatency !== undefined;
}

/** Describes how an agent reaches its cluster: "12ms" or "unreachable"; empty while it is unknown. */
export function clusterText(agent: Agent): string {
  if (isClusterUnreachable(agent)) return 'unreachable';
  return agent.clusterReachable && agent.clusterLatency ? `${Math.round(durationMs(agent.clusterLatency))}ms` : '';
}
