import { create } from '@bufbuild/protobuf';
import { agentStateOf } from '../../../contract/agent-state.ts';
import type { Agent } from '../../../gen/brokkr/v1/cluster_agent_pb.ts';
import {
  AgentState,
  type Fleet,
  type FleetMember,
  FleetMemberSchema,
  FleetSchema,
} from '../../../gen/brokkr/v1/fleet_pb.ts';
import { HealthCountsSchema } from '../../../gen/brokkr/v1/health_pb.ts';
import { PlacementCountsSchema } from '../../../gen/brokkr/v1/placement_pb.ts';
import type { Problem } from '../../../gen/brokkr/v1/problem_pb.ts';
import type { Stack } from '../../../gen/brokkr/v1/stack_pb.ts';
import { isClusterUnreachable, sortBySeverity } from '../../format/fleet.ts';
import { allPages } from '../../session/pages.ts';
import type { Session } from '../../session/session.ts';

/** The contents of `brokkr status`. */
export interface Status {
  readonly fleet: Fleet;
  /** Agents with problems, the most severe first. */
  readonly members: readonly FleetMember[];
  /** The causes that keep stacks from being applied and healthy, the worst first. */
  readonly problems: readonly Problem[];
  /** Number of problems that were left out. */
  readonly omittedProblems: number;
}

/** Reads the status of a generator: the agents that are registered with it, and its own stacks. */
export async function ownStatus({ broker }: Session): Promise<Omit<Status, 'problems' | 'omittedProblems'>> {
  const [agents, stacks] = await Promise.all([
    allPages(
      (page) => broker.listAgents(page),
      (page) => page.agents,
    ),
    allPages(
      (page) => broker.listStacks(page),
      (page) => page.stacks,
    ),
  ]);
  const members = agents.map((agent) => create(FleetMemberSchema, { agent, state: agentStateOf(agent) }));
  return { fleet: fleetOf(agents, stacks), members: sortBySeverity(members.filter(hasProblem)) };
}

function hasProblem({ agent, state }: FleetMember): boolean {
  const { pending = 0, failed = 0, held = 0, ahead = 0 } = agent?.placements ?? {};
  return state === AgentState.OFFLINE || pending + failed + held + ahead > 0;
}

function fleetOf(agents: readonly Agent[], stacks: readonly Stack[]): Fleet {
  const states = agents.map(agentStateOf);
  const count = (state: AgentState) => states.filter((other) => other === state).length;
  return create(FleetSchema, {
    online: count(AgentState.ONLINE),
    offline: count(AgentState.OFFLINE),
    paused: count(AgentState.PAUSED),
    neverStarted: count(AgentState.NEVER_STARTED),
    draining: count(AgentState.DRAINING),
    clusterUnreachable: agents.filter(isClusterUnreachable).length,
    stacks: stacks.filter(({ deleteTime }) => !deleteTime).length,
    placements: create(
      PlacementCountsSchema,
      sums(['pending', 'applied', 'failed', 'removing', 'held', 'ahead'], (phase) =>
        stacks.map(({ placements }) => placements?.[phase]),
      ),
    ),
    health: create(
      HealthCountsSchema,
      sums(['healthy', 'progressing', 'degraded', 'failed', 'unknown'], (health) =>
        stacks.map((stack) => stack.health?.[health]),
      ),
    ),
  });
}

function sums<Name extends string>(
  names: readonly Name[],
  numbersOf: (name: Name) => readonly (number | undefined)[],
): Record<Name, number> {
  const entries = names.map((name) => [name, numbersOf(name).reduce<number>((sum, number) => sum + (number ?? 0), 0)]);
  return Object.fromEntries(entries) as Record<Name, number>;
}
