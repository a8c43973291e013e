import { create } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import type { ServiceImpl } from '@connectrpc/connect';
import type { AgentService } from '../../gen/brokkr/v1/agent_pb.ts';
import { StartAgentResponseSchema } from '../../gen/brokkr/v1/target_state_pb.ts';
import type { Deps } from '../deps.ts';
import { lockAgents } from '../placement/lock-store.ts';
import { mutate } from '../rpc/mutate.ts';
import { principalOf } from '../rpc/principal.ts';
import { endEnrollment } from './enroll.ts';
import type { Heartbeats } from './heartbeats.ts';
import { startAgent } from './lifecycle.ts';
import { requireIncarnation } from './rules.ts';
import { readMessage, toClusterState } from './service.ts';
import { agentById } from './store.ts';

export interface SelfDeps extends Deps {
  readonly heartbeats: Heartbeats;
  /** Returns the incarnation that an agent's calls must carry, without a query for each call. */
  readonly incarnationOf: (agentId: string) => Promise<bigint>;
}

/** Implements the RPCs about the calling agent itself. */
export function selfMethods(
  deps: SelfDeps,
): Pick<ServiceImpl<typeof AgentService>, 'startAgent' | 'getSelf' | 'heartbeat'> {
  const { db, now, heartbeats, incarnationOf } = deps;
  return {
    startAgent: (request, context) =>
      mutate(db, context, request, StartAgentResponseSchema, async (tx, principal, note) => {
        await lockAgents(tx, [principal.ownerId]);
        const agent = await agentById(tx, principal.ownerId);
        const { incarnation, epoch } = await startAgent(tx, agent, request);
        if (agent.incarnation === '0') await endEnrollment(tx, agent.id);
        note.about('agent', agent.id, agent.name);
        note.before({ incarnation: agent.incarnation, clusterId: agent.clusterId });
        note.after({ incarnation, clusterId: request.clusterId, epoch });
        return create(StartAgentResponseSchema, { incarnation, agentId: agent.id, name: agent.name, epoch });
      }),

    async getSelf(_request, context) {
      return { agent: await readMessage(db, await agentById(db, principalOf(context).ownerId), now()) };
    },

    async heartbeat(request, context) {
      const agentId = principalOf(context).ownerId;
      requireIncarnation(await incarnationOf(agentId), request.incarnation);
      heartbeats.beat(agentId, request.incarnation, request.cluster && toClusterState(request.cluster));
      return { brokerTime: timestampFromDate(now()) };
    },
  };
}
