import { create } from '@bufbuild/protobuf';
import type { ServiceImpl } from '@connectrpc/connect';
import type { AdminService } from '../../gen/brokkr/v1/admin_pb.ts';
import { WatchFleetResponseSchema } from '../../gen/brokkr/v1/fleet_pb.ts';
import type { Deps } from '../deps.ts';
import { endOf, refuseEnded } from '../rpc/principal.ts';
import type { FleetBoard } from './fleet-cache.ts';
import { portions } from './rules.ts';
import { toFleet, toMember } from './service.ts';

const keepaliveMs = 30_000;
/** Of one message; the bytes are well below what an answer may have. */
const most = { items: 500, bytes: 1 << 20 } as const;
const goneInMessage = 10_000;

/** WatchFleet: what changed since the message before, from a board that all watchers of this broker share. */
export function fleetWatchMethods({
  board,
  closing,
  now,
}: Deps & { board: FleetBoard; closing: AbortSignal }): Pick<ServiceImpl<typeof AdminService>, 'watchFleet'> {
  return {
    async *watchFleet(_request, context) {
      const ended = endOf(context, closing);
      const follower = board.join();
      try {
        while (!ended.aborted) {
          const news = await follower.next(keepaliveMs, ended);
          if (ended.aborted) break;
          if (!news) {
            yield create(WatchFleetResponseSchema);
            continue;
          }
          const [first = [], ...rest] = portions(news.members, ({ bytes }) => bytes, most);
          const toMessages = (members: typeof first) => members.map(({ row }) => toMember(row, now()));
          yield create(WatchFleetResponseSchema, {
            ...(news.fleet && { fleet: toFleet(news.fleet) }),
            members: toMessages(first),
            goneAgentIds: news.gone.slice(0, goneInMessage),
          });
          for (const portion of rest) yield create(WatchFleetResponseSchema, { members: toMessages(portion) });
          for (let at = goneInMessage; at < news.gone.length; at += goneInMessage)
            yield create(WatchFleetResponseSchema, { goneAgentIds: news.gone.slice(at, at + goneInMessage) });
        }
        refuseEnded(context, closing);
      } finally {
        follower.leave();
      }
    },
  };
}
