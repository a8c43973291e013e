import { createHash } from 'node:crypto';
import { create } from '@bufbuild/protobuf';
import type { ServiceImpl } from '@connectrpc/connect';
import type { BrokerService } from '../../gen/brokkr/v1/broker_pb.ts';
import { type WatchStackResponse, WatchStackResponseSchema } from '../../gen/brokkr/v1/stack_pb.ts';
import { ownerOf } from '../access/principal.ts';
import type { Deps } from '../deps.ts';
import type { PlacementRow } from '../placement/rules.ts';
import { toMessage } from '../placement/service.ts';
import { listPlacements } from '../placement/store.ts';
import { endOf, principalOf, refuseEnded } from '../rpc/principal.ts';
import type { Database } from '../store/database.ts';
import { type PollInterval, poll } from '../store/poll.ts';
import type { StackRow } from './rules.ts';
import { stackMessage } from './service.ts';
import { findStack, stackById } from './store.ts';

const keepaliveMs = 30_000;
const pollInterval: PollInterval = { maxMs: 5_000, minMs: 20 };
/** With messages of 4 KiB each, they stay well below what an answer may hold. */
const placementsInMessage = 300;

/** WatchStack: what changed since the message before, from reads of the database; the feed only says when to read. */
export function watchMethods({
  db,
  feed,
  closing,
}: Deps & { closing: AbortSignal }): Pick<ServiceImpl<typeof BrokerService>, 'watchStack'> {
  return {
    async *watchStack(request, context) {
      const stack = await findStack(db, ownerOf(principalOf(context)), request.stack);
      const subscribe = (hint: () => void) =>
        feed.subscribe({
          // An agent's change (a label, an acknowledgement) may concern any stack.
          changed: (changes) => changes.some((change) => change.kind === 'agent' || change.ref === stack.id) && hint(),
          reset: hint,
          reported: (ids) => (ids === '*' || ids.includes(stack.id)) && hint(),
        });
      const sent: Sent = { stack: '', last: stack, placements: new Map(), gone: false };
      let lastSentAt = performance.now();
      for await (const messages of poll(
        subscribe,
        () => readChanges(db, sent),
        pollInterval,
        endOf(context, closing),
      )) {
        for (const message of messages) {
          yield message;
          lastSentAt = performance.now();
        }
        if (sent.gone) return;
        if (performance.now() - lastSentAt > keepaliveMs) {
          yield create(WatchStackResponseSchema);
          lastSentAt = performance.now();
        }
      }
      refuseEnded(context, closing);
    },
  };
}

/** The state that the stream's reader has: the stack as it was last, and a fingerprint of each placement. */
interface Sent {
  stack: string;
  last: StackRow;
  readonly placements: Map<string, string>;
  gone: boolean;
}

/** Reads stack and placements, and makes messages of what differs from what was sent. */
async function readChanges(db: Database, sent: Sent): Promise<WatchStackResponse[]> {
  const row = await stackById(db, sent.last.id);
  if (!row) {
    sent.gone = true;
    const last = { ...sent.last, deletedAt: sent.last.deletedAt ?? new Date() };
    return [
      create(WatchStackResponseSchema, {
        stack: await stackMessage(db, last),
        goneAgentIds: [...sent.placements.keys()],
      }),
    ];
  }
  sent.last = row;
  const placements = await allPlacements(db, row.id);
  const prints = new Map(placements.map((placement) => [placement.agentId, fingerprint(placement)]));
  const changed = placements.filter(({ agentId: id }) => sent.placements.get(id) !== prints.get(id));
  const gone = [...sent.placements.keys()].filter((agentId) => !prints.has(agentId));
  const text = JSON.stringify(row);
  const isNew = text !== sent.stack;
  sent.stack = text;
  for (const agentId of gone) sent.placements.delete(agentId);
  for (const [agentId, print] of prints) sent.placements.set(agentId, print);
  if (!isNew && changed.length === 0 && gone.length === 0) return [];
  const first = create(WatchStackResponseSchema, {
    stack: await stackMessage(db, row),
    placements: changed.slice(0, placementsInMessage).map(toMessage),
    goneAgentIds: gone,
  });
  const rest: WatchStackResponse[] = [];
  for (let start = placementsInMessage; start < changed.length; start += placementsInMessage) {
    rest.push(
      create(WatchStackResponseSchema, {
        placements: changed.slice(start, start + placementsInMessage).map(toMessage),
      }),
    );
  }
  return [first, ...rest];
}

async function allPlacements(db: Database, stackId: string): Promise<PlacementRow[]> {
  const all: PlacementRow[] = [];
  for (let after: string[] | undefined; ; ) {
    const rows = await listPlacements(db, { owner: null, stackId, after, limit: placementsInMessage });
    all.push(...rows);
    const last = rows.at(-1);
    if (!last || rows.length < placementsInMessage) return all;
    after = [last.agentId, last.stackId];
  }
}

function fingerprint(placement: PlacementRow): string {
  return createHash('sha256').update(JSON.stringify(placement)).digest('base64');
}
