import { Code, ConnectError } from '@connectrpc/connect';
import { AgentState } from '../../../gen/brokkr/v1/fleet_pb.ts';
import type { Stack } from '../../../gen/brokkr/v1/stack_pb.ts';
import { allPages } from '../../session/pages.ts';
import type { Session } from '../../session/session.ts';

const maxListedAgents = 20;

/**
 * Lists the names of at most 20 agents that have to remove a stack but have never started. Empty for callers that are not admins, since
 * only admins can abandon such removals.
 */
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
    // The caller is not an admin, or the removal has finished.
    if ([Code.PermissionDenied, Code.NotFound].includes(ConnectError.from(error).code)) return [];
    throw error;
  }
}
