import { createHash } from 'node:crypto';
import { create } from '@bufbuild/protobuf';
import type { ServiceImpl } from '@connectrpc/connect';
import type { BrokerService } from '../../gen/brokkr/v1/broker_pb.ts';
import { type WatchStackResponse, WatchStackResponseSchema } from '../../gen/brokkr/v1/stack_pb.ts';
import type { Deps } from '../deps.ts';
import type { PlacementRow } from '../placement/rules.ts';
import { toMessage } from '../placement/service.ts';
import { listPlacements } from '../placement/store.ts';
import { Refusal } from '../refusal.ts';
import { ownerOf, principalOf } from '../rpc/principal.ts';
import type { Database } from '../store/orm.ts';
import { pause } from '../store/wait.ts';
import type { StackRow } from './rules.ts';
import { stackMessage } from './service.ts';
import { findStack, stackById } from './store.ts';

const keepaliveMs = 30_000;
/** Even without a hint, the state is read again this often: hints about reports may be lost. */
const rereadMs = 5_000;
/** The shortest time between two reads, however many agents report; a stream never reads for more than a tenth of the time. */
const pauseMs = 20;
const pausePerRead = 9;
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
      const principal = principalOf(context);
      const stack = await findStack(db, ownerOf(principal), request.stack);
      const ends = [context.signal, closing, ...(principal.signal ? [principal.signal] : [])];
      const ended = AbortSignal.any(ends);
      let dirty = true;
      let wake = Promise.withResolvers<void>();
      const touch = () => {
        dirty = true;
        wake.resolve();
      };
      const unsubscribe = feed.subscribe({
        // An agent's change (a label, an acknowledgement) may concern any stack.
        changed: (changes) => changes.some((change) => change.kind === 'agent' || change.ref === stack.id) && touch(),
        reset: touch,
        reported: (ids) => (ids === '*' || ids.includes(stack.id)) && touch(),
      });
      ended.addEventListener('abort', touch, { once: true });
      const state: Sent = { stack: '', last: stack, placements: new Map(), gone: false };
      let lastReadAt = Number.NEGATIVE_INFINITY;
      let lastSentAt = performance.now();
      let readMs = 0;
      try {
        while (!ended.aborted) {
          if (dirty || performance.now() - lastReadAt >= rereadMs) {
            dirty = false;
            lastReadAt = performance.now();
            const messages = await readChanges(db, state);
            readMs = performance.now() - lastReadAt;
            for (const message of messages) {
              yield message;
              lastSentAt = performance.now();
            }
            if (state.gone) return;
          }
          if (performance.now() - lastSentAt > keepaliveMs) {
            yield create(WatchStackResponseSchema);
            lastSentAt = performance.now();
          }
          await pause(Math.max(pauseMs, readMs * pausePerRead), ended);
          if (!dirty) await pause(rereadMs, ended, wake.promise);
          wake = Promise.withResolvers<void>();
        }
        if (principal.signal?.aborted) throw new Refusal('unauthenticated', 'the key is not valid');
        if (closing.aborted) throw new Refusal('unavailable', 'the broker is closing: connect again');
      } finally {
        unsubscribe();
        ended.removeEventListener('abort', touch);
      }
    },
  };
}

/** What the stream's reader knows: the stack as it was last, and a fingerprint of each placement. */
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
    const last = { ...sent.last, deleted_at: sent.last.deleted_at ?? new Date() };
    return [
      create(WatchStackResponseSchema, {
        stack: await stackMessage(db, last),
        goneAgentIds: [...sent.placements.keys()],
      }),
    ];
  }
  sent.last = row;
  const placements = await allPlacements(db, row.id);
  const prints = new Map(placements.map((placement) => [placement.agent_id, fingerprint(placement)]));
  const changed = placements.filter(({ agent_id: id }) => sent.placements.get(id) !== prints.get(id));
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
    after = [last.agent_id, last.stack_id];
  }
}

function fingerprint(placement: PlacementRow): string {
  return createHash('sha256').update(JSON.stringify(placement)).digest('base64');
}
