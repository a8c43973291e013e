import { create } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import type { ServiceImpl } from '@connectrpc/connect';
import type { AdminService } from '../../gen/brokkr/v1/admin_pb.ts';
import {
  AgentState as AgentStateNumber,
  type Fleet,
  type FleetMember,
  FleetMemberSchema,
  FleetSchema,
} from '../../gen/brokkr/v1/fleet_pb.ts';
import { HealthCountsSchema } from '../../gen/brokkr/v1/health_pb.ts';
import { PlacementCountsSchema } from '../../gen/brokkr/v1/placement_pb.ts';
import { toMessage as agentMessage } from '../agent/service.ts';
import type { Deps } from '../deps.ts';
import { healthNumber } from '../health/service.ts';
import { principalOf } from '../rpc/principal.ts';
import { cutPage, readPage } from '../store/page.ts';
import type { AgentState, FleetRow, MemberRow } from './rules.ts';
import { listMembers, readFleet } from './store.ts';

export function fleetMethods({ db, now }: Deps): Pick<ServiceImpl<typeof AdminService>, 'getFleet' | 'listFleet'> {
  return {
    async getFleet() {
      return { fleet: toFleet(await readFleet(db)) };
    },

    async listFleet(request, context) {
      const { label, search, troubled } = request;
      const state = stateName(request.state);
      const scope = ['fleet', principalOf(context).ownerId, label, state ?? '', search, troubled];
      const page = readPage(request, scope);
      const filter = { label, state, search, troubled, after: page.after, limit: page.size + 1 };
      const cut = cutPage(await listMembers(db, filter), page, scope, (row) => [row.name, row.id]);
      return { members: cut.rows.map((row) => toMember(row, now())), nextPageToken: cut.nextPageToken };
    },
  };
}

const states = {
  online: AgentStateNumber.ONLINE,
  offline: AgentStateNumber.OFFLINE,
  paused: AgentStateNumber.PAUSED,
  never_started: AgentStateNumber.NEVER_STARTED,
  draining: AgentStateNumber.DRAINING,
} as const satisfies Record<AgentState, AgentStateNumber>;

function stateName(state: AgentStateNumber): AgentState | undefined {
  return (Object.keys(states) as AgentState[]).find((name) => states[name] === state);
}

export function toFleet(row: FleetRow): Fleet {
  return create(FleetSchema, {
    online: row.agents.online ?? 0,
    offline: row.agents.offline ?? 0,
    paused: row.agents.paused ?? 0,
    neverStarted: row.agents.never_started ?? 0,
    draining: row.agents.draining ?? 0,
    clusterUnreachable: row.clustersUnreachable,
    stacks: row.stacks,
    placements: create(PlacementCountsSchema, row.phases),
    health: create(HealthCountsSchema, row.healths),
    oldestPendingTime: row.oldestPendingSince ? timestampFromDate(row.oldestPendingSince) : undefined,
  });
}

export function toMember(row: MemberRow, now: Date): FleetMember {
  return create(FleetMemberSchema, {
    agent: agentMessage(row, now, row.phases),
    state: states[row.state],
    health: healthNumber(row.health),
  });
}
