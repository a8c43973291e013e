import { create } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import type { ServiceImpl } from '@connectrpc/connect';
import type { AgentService } from '../../gen/brokkr/v1/agent_pb.ts';
import { StartAgentResponseSchema } from '../../gen/brokkr/v1/target_state_pb.ts';
import type { Deps } from '../deps.ts';
import { mutatePrepared } from '../rpc/mutate.ts';
import { principalOf } from '../rpc/principal.ts';
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
      mutatePrepared(db, context, request, StartAgentResponseSchema, async (tx, { ownerId: agentId }, note) => {
        const { incarnation, epoch, before } = await startAgent(tx, agentId, request);
        const { name, clusterId } = before;
        note.about('agent', agentId, name);
        note.before({ incarnation: before.incarnation, clusterId });
        note.after({ incarnation, clusterId: request.clusterId, epoch });
        return create(StartAgentResponseSchema, { incarnation, agentId, name, epoch });
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
