import { create } from '@bufbuild/protobuf';
import type { ServiceImpl } from '@connectrpc/connect';
import type { AdminService } from '../../gen/brokkr/v1/admin_pb.ts';
import { type WatchFleetResponse, WatchFleetResponseSchema } from '../../gen/brokkr/v1/fleet_pb.ts';
import type { Deps } from '../deps.ts';
import { endOf, refuseEnded } from '../rpc/principal.ts';
import type { FleetCache } from './fleet-cache.ts';
import type { FleetChanges } from './fleet-snapshot.ts';
import { portions } from './rules.ts';
import { toFleet, toMember } from './service.ts';

const keepaliveMs = 30_000;
/** Limits of one message; an answer may be far larger than these bytes. */
const maxPerMessage = { items: 500, bytes: 1 << 20 } as const;
const maxRemovedPerMessage = 10_000;

/** WatchFleet sends what has changed since its previous message, from a cache that all watchers of this broker share. */
export function fleetWatchMethods({
  fleetCache,
  closing,
  now,
}: Deps & { fleetCache: FleetCache; closing: AbortSignal }): Pick<ServiceImpl<typeof AdminService>, 'watchFleet'> {
  return {
    async *watchFleet(_request, context) {
      const ended = endOf(context, closing);
      const subscription = fleetCache.subscribe();
      try {
        while (!ended.aborted) {
          const changes = await subscription.next(keepaliveMs, ended);
          if (ended.aborted) break;
          if (changes) yield* toMessages(changes, now);
          else yield create(WatchFleetResponseSchema);
        }
        refuseEnded(context, closing);
      } finally {
        subscription.close();
      }
    },
  };
}

/** The first message has the counts; the members and the removed ids follow in as many messages as they need. */
function* toMessages({ fleet, members, removedIds }: FleetChanges, now: () => Date): Generator<WatchFleetResponse> {
  const [first = [], ...others] = portions(members, ({ bytes }) => bytes, maxPerMessage);
  const membersOf = (portion: typeof first) => portion.map(({ row }) => toMember(row, now()));
  yield create(WatchFleetResponseSchema, {
    ...(fleet && { fleet: toFleet(fleet) }),
    members: membersOf(first),
    goneAgentIds: removedIds.slice(0, maxRemovedPerMessage),
  });
  for (const portion of others) yield create(WatchFleetResponseSchema, { members: membersOf(portion) });
  for (let start = maxRemovedPerMessage; start < removedIds.length; start += maxRemovedPerMessage)
    yield create(WatchFleetResponseSchema, { goneAgentIds: removedIds.slice(start, start + maxRemovedPerMessage) });
}
