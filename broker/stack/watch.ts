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
import { stackMessage } from './service.ts';
import { findStack, stackById } from './store.ts';

const keepaliveMs = 30_000;
/** Even without a hint, the state is read again this often: hints about reports may be lost. */
const rereadMs = 5_000;
/** At most this many reads a second and stream, however many agents report. */
const pauseMs = 200;
const placementsInMessage = 1_000;

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
      const state = emptyState();
      let lastReadAt = 0;
      let lastSentAt = 0;
      try {
        while (!ended.aborted) {
          if (dirty || Date.now() - lastReadAt > rereadMs) {
            dirty = false;
            lastReadAt = Date.now();
            for (const message of await readChanges(db, stack.id, state)) {
              yield message;
              lastSentAt = Date.now();
            }
            if (state.gone) return;
          }
          if (Date.now() - lastSentAt > keepaliveMs) {
            yield create(WatchStackResponseSchema);
            lastSentAt = Date.now();
          }
          await pause(pauseMs, ended);
          if (!dirty) await Promise.race([wake.promise, pause(rereadMs, ended)]);
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

interface Sent {
  stack: string;
  readonly placements: Map<string, string>;
  gone: boolean;
}

const emptyState = (): Sent => ({ stack: '', placements: new Map(), gone: false });

/** Reads stack and placements, and makes messages of what differs from what was sent. */
async function readChanges(db: Database, stackId: string, sent: Sent): Promise<WatchStackResponse[]> {
  const row = await stackById(db, stackId);
  if (!row) {
    sent.gone = true;
    return [create(WatchStackResponseSchema, { goneAgentIds: [...sent.placements.keys()] })];
  }
  const placements = await allPlacements(db, stackId);
  const changed = placements.filter(
    (placement) => sent.placements.get(placement.agent_id) !== JSON.stringify(placement),
  );
  const present = new Set(placements.map((placement) => placement.agent_id));
  const gone = [...sent.placements.keys()].filter((agentId) => !present.has(agentId));
  const text = JSON.stringify(row);
  const isNew = text !== sent.stack;
  sent.stack = text;
  for (const agentId of gone) sent.placements.delete(agentId);
  for (const placement of changed) sent.placements.set(placement.agent_id, JSON.stringify(placement));
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

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, ms);
    function done() {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    }
    signal.addEventListener('abort', done, { once: true });
    if (signal.aborted) done();
  });
}
