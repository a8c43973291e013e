import { create } from '@bufbuild/protobuf';
import { durationMs, timestampFromDate } from '@bufbuild/protobuf/wkt';
import type { ServiceImpl } from '@connectrpc/connect';
import { toDuration } from '../../contract/duration.ts';
import type { AdminService } from '../../gen/brokkr/v1/admin_pb.ts';
import type { BrokerService } from '../../gen/brokkr/v1/broker_pb.ts';
import {
  type Agent,
  AgentSchema,
  CreateAgentResponseSchema,
  DeleteAgentResponseSchema,
  PauseAgentResponseSchema,
  RebindAgentResponseSchema,
  ResumeAgentResponseSchema,
  RotateAgentPakResponseSchema,
  UpdateAgentResponseSchema,
} from '../../gen/brokkr/v1/cluster_agent_pb.ts';
import { PlacementCountsSchema } from '../../gen/brokkr/v1/placement_pb.ts';
import type { ClusterState as ClusterStateMessage } from '../../gen/brokkr/v1/target_state_pb.ts';
import { issuePak } from '../access/issue.ts';
import { ownerOf } from '../access/principal.ts';
import { recordPak } from '../access/rules.ts';
import { overlapOf } from '../access/service.ts';
import { type Note, toColumns } from '../audit/rules.ts';
import type { Deps } from '../deps.ts';
import { updatePlacements } from '../placement/match-store.ts';
import { type Counts, placementCounts } from '../placement/store.ts';
import { checkMask } from '../resource.ts';
import { mutate } from '../rpc/mutate.ts';
import { principalOf } from '../rpc/principal.ts';
import type { Sql, Tx } from '../store/database.ts';
import { announce } from '../store/feed.ts';
import { cutPage, readPage } from '../store/page.ts';
import { createAgent } from './create.ts';
import { deleteAgent, lockAgent, rebindAgent } from './lifecycle.ts';
import { type AgentRow, type ClusterState, isOnline, requireNotDraining } from './rules.ts';
import * as store from './store.ts';

type Methods =
  | 'createAgent'
  | 'getAgent'
  | 'listAgents'
  | 'updateAgent'
  | 'pauseAgent'
  | 'resumeAgent'
  | 'rebindAgent'
  | 'deleteAgent'
  | 'rotateAgentPak';

/** Implements the RPCs with which admins manage agents. */
export function agentMethods({ db, now }: Deps): Pick<ServiceImpl<typeof AdminService>, Methods> {
  const reread = async (tx: Tx, id: string) => readMessage(tx, await store.agentById(tx, id), now());
  const setPaused = (tx: Tx, id: string, paused: boolean) => store.updateAgent(tx, id, { paused });
  return {
    createAgent: (request, context) =>
      mutate(db, context, request, CreateAgentResponseSchema, async (tx, _principal, note) => {
        const { id, pak } = await createAgent(tx, request);
        await recordAgent(tx, note, id, request.name);
        return create(CreateAgentResponseSchema, { agent: await reread(tx, id), pak });
      }),

    async getAgent(request, context) {
      const row = await store.findAgent(db, principalOf(context), request.agent, { draining: true });
      return { agent: await readMessage(db, row, now()) };
    },

    async listAgents(request, context) {
      const { label, showDeleted } = request;
      const scope = ['agents', principalOf(context).ownerId, label, showDeleted];
      const page = readPage(request, scope);
      const rows = await store.listAgents(db, {
        owner: null,
        label,
        showDeleted,
        after: page.after,
        limit: page.size + 1,
      });
      const cut = cutPage(rows, page, scope, (row) => [row.name, row.id]);
      return { agents: await toMessages(db, cut.rows, now()), nextPageToken: cut.nextPageToken };
    },

    updateAgent: (request, context) =>
      mutate(db, context, request, UpdateAgentResponseSchema, async (tx, principal, note) => {
        const mask = request.updateMask?.paths ?? [];
        checkMask(mask, ['description']);
        const row = await lockAgent(tx, principal, request.agent, request.etag);
        requireNotDraining(row);
        await store.editLabels(tx, row.id, request);
        await store.updateAgent(tx, row.id, {
          description: mask.includes('description') ? request.description : undefined,
        });
        await updatePlacements(tx, { agents: [row.id], stacks: null }, 'the agent no longer matches the stack');
        await announce(tx, 'agent', [row.id]);
        await recordAgent(tx, note, row.id, row.name, row);
        return create(UpdateAgentResponseSchema, { agent: await reread(tx, row.id) });
      }),

    // An agent that drains may be paused too, to stop it from removing more.
    pauseAgent: (request, context) =>
      mutate(db, context, request, PauseAgentResponseSchema, async (tx, principal, note) => {
        const row = await lockAgent(tx, principal, request.agent);
        const { id } = row;
        await setPaused(tx, id, true);
        await announce(tx, 'agent', [id]);
        await recordAgent(tx, note, id, row.name, row);
        return create(PauseAgentResponseSchema, { agent: await reread(tx, id) });
      }),

    resumeAgent: (request, context) =>
      mutate(db, context, request, ResumeAgentResponseSchema, async (tx, principal, note) => {
        const row = await lockAgent(tx, principal, request.agent);
        const { id } = row;
        await setPaused(tx, id, false);
        await announce(tx, 'agent', [id]);
        await recordAgent(tx, note, id, row.name, row);
        return create(ResumeAgentResponseSchema, { agent: await reread(tx, id) });
      }),

    rebindAgent: (request, context) =>
      mutate(db, context, request, RebindAgentResponseSchema, async (tx, principal, note) => {
        const row = await lockAgent(tx, principal, request.agent);
        await rebindAgent(tx, row);
        await recordAgent(tx, note, row.id, row.name, row);
        return create(RebindAgentResponseSchema, { agent: await reread(tx, row.id) });
      }),

    deleteAgent: (request, context) =>
      mutate(db, context, request, DeleteAgentResponseSchema, async (tx, principal, note) => {
        const row = await lockAgent(tx, principal, request.agent, request.etag);
        const last = await deleteAgent(tx, row, request.orphan);
        note.about('agent', row.id, row.name);
        note.before(toRecord(row));
        return create(DeleteAgentResponseSchema, { agent: await readMessage(tx, last, now()) });
      }),

    rotateAgentPak: (request, context) =>
      mutate(db, context, request, RotateAgentPakResponseSchema, async (tx, principal, note) => {
        // An agent that drains still needs a key that works.
        const { id } = await lockAgent(tx, principal, request.agent);
        const { pak, row } = await issuePak(tx, { role: 'ag', agentId: id }, { overlapMs: overlapOf(request.overlap) });
        recordPak(note, row);
        return create(RotateAgentPakResponseSchema, { pak });
      }),
  };
}

/** Notes for the audit log how an agent was before, and how it is now. */
export async function recordAgent(tx: Tx, note: Note, id: string, name: string, before?: AgentRow): Promise<void> {
  note.about('agent', id, name);
  if (before) note.before(toRecord(before));
  note.after(toRecord(await store.agentById(tx, id)));
}

/** Leaves out what the agent's own reports change. */
function toRecord(agent: AgentRow): object {
  const { lastHeartbeatAt: _, clusterReachable: __, clusterLatencyMs: ___, connectedAt: ____, ...row } = agent;
  return toColumns(row);
}

/** Implements ListAgents for callers that place stacks. A generator sees only its own registrations. */
export function placeableAgentMethods({ db, now }: Deps): Pick<ServiceImpl<typeof BrokerService>, 'listAgents'> {
  return {
    async listAgents(request, context) {
      const principal = principalOf(context);
      const owner = ownerOf(principal);
      const { label } = request;
      const scope = ['placeable-agents', principal.ownerId, label];
      const page = readPage(request, scope);
      const rows = await store.listAgents(db, {
        owner,
        label,
        showDeleted: false,
        after: page.after,
        limit: page.size + 1,
      });
      const cut = cutPage(rows, page, scope, (row) => [row.name, row.id]);
      return { agents: await toMessages(db, cut.rows, now(), owner), nextPageToken: cut.nextPageToken };
    },
  };
}

/** Converts agents to messages with the counts of their placements: of all, or only of the owner's stacks. */
async function toMessages(
  db: Sql,
  rows: readonly AgentRow[],
  now: Date,
  owner: string | null = null,
): Promise<Agent[]> {
  const agentIds = rows.map((row) => row.id);
  const counts = await placementCounts(db, { agentIds }, owner);
  return rows.map((row) => toMessage(row, now, counts.get(row.id) ?? {}));
}

/** Converts an agent to a message with the counts of all its placements. */
export async function readMessage(db: Sql, row: AgentRow, now: Date): Promise<Agent> {
  const counts = await placementCounts(db, { agentIds: [row.id] });
  return toMessage(row, now, counts.get(row.id) ?? {});
}

/** Converts an agent to a message; without `counts` the field stays unset. */
export function toMessage(row: AgentRow, now: Date, counts?: Counts): Agent {
  return create(AgentSchema, {
    id: row.id,
    name: row.name,
    description: row.description,
    labels: row.labels,
    annotations: row.annotations,
    paused: row.paused,
    clusterId: row.clusterId ?? '',
    incarnation: BigInt(row.incarnation),
    lastHeartbeatTime: row.lastHeartbeatAt ? timestampFromDate(row.lastHeartbeatAt) : undefined,
    online: isOnline(row, now),
    version: row.agentVersion,
    kubernetesVersion: row.kubernetesVersion,
    generators: row.generators,
    placements: counts && create(PlacementCountsSchema, counts),
    createTime: timestampFromDate(row.createdAt),
    deleteTime: row.deletedAt ? timestampFromDate(row.deletedAt) : undefined,
    etag: row.version,
    clusterReachable: row.clusterReachable ?? false,
    clusterLatency: row.clusterLatencyMs === null ? undefined : toDuration(row.clusterLatencyMs),
    connectTime: row.connectedAt ? timestampFromDate(row.connectedAt) : undefined,
  });
}

/** Upper bound of a plausible latency: no request waits longer. */
const maxLatencyMs = 10 * 60_000;

/** Converts what a heartbeat reports about the cluster. */
export function toClusterState({ reachable, latency }: ClusterStateMessage): ClusterState {
  const latencyMs = latency ? durationMs(latency) : null;
  return {
    reachable,
    latencyMs: latencyMs === null ? null : Math.min(Math.max(latencyMs, 0), maxLatencyMs),
  };
}
