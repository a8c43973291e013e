import { Code, ConnectError } from '@connectrpc/connect';
import { AgentState } from '../../../gen/brokkr/v1/fleet_pb.ts';
import type { Stack } from '../../../gen/brokkr/v1/stack_pb.ts';
import { allPages } from '../../session/pages.ts';
import type { Session } from '../../session/session.ts';

const maxListedAgents = 20;

/** Of the agents that have to remove a stack, those that may never come, at most 20; none for others than admins, who end such removals. */
export async function listNeverStarted({ admin, broker }: Session, { id, placements }: Stack): Promise<string[]> {
  if (!placements?.removing) return [];
  try {
    const state = AgentState.NEVER_STARTED;
    const { members } = await admin.listFleet({ state, pageSize: 500 });
    const waiting = await allPages(
      (page) => broker.listPlacements({ stack: id, ...page }),
      (page) => page.placements,
    );
    const agents = new Set(waiting.map(({ agentId }) => agentId));
    return members.flatMap(({ agent }) => (agents.has(agent!.id) ? [agent!.name] : [])).slice(0, maxListedAgents);
  } catch (error) {
    // Not an admin; or all of it is removed already.
    if ([Code.PermissionDenied, Code.NotFound].includes(ConnectError.from(error).code)) return [];
    throw error;
  }
}
