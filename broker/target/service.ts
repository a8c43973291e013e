import { create } from '@bufbuild/protobuf';
import { Code, ConnectError, type HandlerContext, type ServiceImpl } from '@connectrpc/connect';
import type { AgentService } from '../../gen/brokkr/v1/agent_pb.ts';
import { PlacementState } from '../../gen/brokkr/v1/placement_pb.ts';
import { OnDelete } from '../../gen/brokkr/v1/stack_pb.ts';
import {
  ManifestSchema,
  type PullTargetStateRequest,
  type PullTargetStateResponse,
  PullTargetStateResponseSchema,
  type TargetEntry,
  TargetEntrySchema,
  TargetStateKind,
} from '../../gen/brokkr/v1/target_state_pb.ts';
import { noticeNewer } from '../agent/lifecycle.ts';
import { requireIncarnation } from '../agent/rules.ts';
import type { Deps } from '../deps.ts';
import { Refusal } from '../refusal.ts';
import { type Principal, principalOf } from '../rpc/principal.ts';
import type { Database } from '../store/orm.ts';
import type { TargetStates } from './cache.ts';
import { type Entry, makePageToken, planPage, readPageToken, type TargetState } from './rules.ts';
import { ownManifests, readManifests } from './store.ts';

type Methods = 'pullTargetState' | 'getManifests';

const chunkBytes = 256 << 10;
/** Manifests are read from the database in portions of about this much, so that a cold agent's 60 MiB are never in memory at once. */
const portionBytes = 4 << 20;

export function targetMethods(deps: Deps & { targets: TargetStates }): Pick<ServiceImpl<typeof AgentService>, Methods> {
  const { db, targets } = deps;
  const notice = newerNotice(db);
  return {
    async pullTargetState(request, context) {
      const agentId = principalOf(context).ownerId;
      const state = await stateFor(targets, agentId, request, context);
      requireIncarnation(state.incarnation, request.incarnation);
      await notice(principalOf(context), request, state);
      if (request.pageToken === '' && state.digest.equals(request.digest))
        return plain(state, TargetStateKind.UNCHANGED);
      if (state.paused) return plain(state, TargetStateKind.PAUSED);
      const start = request.pageToken === '' ? 0 : readPageToken(request.pageToken, state.digest);
      if (start === undefined) {
        throw new Refusal('conflict', 'the target state has changed since the first page: pull again', {
          field: 'page_token',
          reason: 'STATE_CHANGED',
        });
      }
      return page(db, state, start, request.have);
    },

    async *getManifests(request, context) {
      const agentId = principalOf(context).ownerId;
      requireIncarnation(await targets.incarnationOf(agentId), request.incarnation);
      const asked = request.checksums.map((checksum) => Buffer.from(checksum));
      const sizes = await ownManifests(db, agentId, asked);
      const strange = asked.find((checksum) => !sizes.has(checksum.toString('hex')));
      if (strange)
        throw new Refusal('missing', `manifest ${strange.toString('hex')} not found`, {
          field: 'checksums',
          reason: 'NO_SUCH_MANIFEST',
        });
      for (const portion of portions(asked, sizes)) {
        const data = await readManifests(db, portion);
        for (const checksum of portion) {
          const bytes = data.get(checksum.toString('hex'));
          if (!bytes) throw new Refusal('missing', 'manifest not found', { reason: 'NO_SUCH_MANIFEST' });
          for (let offset = 0; offset === 0 || offset < bytes.length; offset += chunkBytes) {
            const end = offset + chunkBytes;
            yield { checksum, data: bytes.subarray(offset, end), last: end >= bytes.length };
          }
        }
      }
    },
  };
}

async function stateFor(
  targets: TargetStates,
  agentId: string,
  request: PullTargetStateRequest,
  context: HandlerContext,
): Promise<TargetState> {
  const waitMs = Number(request.wait?.seconds ?? 0n) * 1000 + Math.floor((request.wait?.nanos ?? 0) / 1e6);
  const principal = principalOf(context);
  const signal = principal.signal ? AbortSignal.any([context.signal, principal.signal]) : context.signal;
  const now = await targets.current(agentId);
  // An agent that is fenced, or that another cluster's replaced, must not wait for minutes to be told.
  if (now) requireIncarnation(now.incarnation, request.incarnation);
  const state =
    waitMs > 0 && request.pageToken === '' ? await targets.changed(agentId, request.digest, waitMs, signal) : now;
  if (principal.signal?.aborted) throw new Refusal('unauthenticated', 'the key is not valid');
  if (context.signal.aborted) throw new ConnectError('the call has ended', Code.Canceled);
  if (!state) throw new Refusal('unauthenticated', 'the key is not valid');
  return state;
}

/** For how long an order that was read is taken as given out; a database restored under a running broker is noticed after it. */
const highestForMs = 60_000;

/**
 * An agent that presents something newer than the database has is the witness of a restored backup: a new epoch begins.
 * Orders only grow, so the highest one read lately spares idle pulls the database.
 */
function newerNotice(
  db: Database,
): (agent: Principal, request: PullTargetStateRequest, state: TargetState) => Promise<void> {
  let known = { epoch: 0n, highest: 0n, at: 0 };
  return async (agent, request, state) => {
    if (request.epoch === 0n && request.order === 0n) return;
    const epoch = state.epoch > known.epoch ? state.epoch : known.epoch;
    if (request.epoch <= epoch && request.order <= known.highest && Date.now() - known.at < highestForMs) return;
    const seen = await db.transact((tx) => noticeNewer(tx, agent.ownerName, request, []));
    known = { epoch: seen.epoch, highest: seen.highestOrder, at: Date.now() };
  };
}

async function page(
  db: Database,
  state: TargetState,
  start: number,
  have: readonly Uint8Array[],
): Promise<PullTargetStateResponse> {
  const plan = planPage(state.entries, start, new Set(have.map((checksum) => Buffer.from(checksum).toString('hex'))));
  const manifests =
    plan.inline.length > 0
      ? await readManifests(
          db,
          plan.inline.map((hex) => Buffer.from(hex, 'hex')),
        )
      : new Map<string, Buffer>();
  return create(PullTargetStateResponseSchema, {
    kind: TargetStateKind.INDEX,
    epoch: state.epoch,
    digest: state.digest,
    entries: plan.entries.map(toMessage),
    manifests: [...manifests].map(([hex, data]) => create(ManifestSchema, { checksum: Buffer.from(hex, 'hex'), data })),
    nextPageToken: makePageToken(state.digest, plan.next),
  });
}

function plain(state: TargetState, kind: TargetStateKind): PullTargetStateResponse {
  return create(PullTargetStateResponseSchema, { kind, epoch: state.epoch, digest: state.digest });
}

function* portions(checksums: readonly Buffer[], sizes: ReadonlyMap<string, number>): Generator<Buffer[]> {
  let portion: Buffer[] = [];
  let bytes = 0;
  for (const checksum of checksums) {
    portion.push(checksum);
    bytes += sizes.get(checksum.toString('hex')) ?? 0;
    if (bytes < portionBytes) continue;
    yield portion;
    portion = [];
    bytes = 0;
  }
  if (portion.length > 0) yield portion;
}

function toMessage(entry: Entry): TargetEntry {
  return create(TargetEntrySchema, {
    ...entry,
    state: entry.state === 'active' ? PlacementState.ACTIVE : PlacementState.REMOVING,
    size: BigInt(entry.size),
    onDelete: entry.onDelete === 'orphan' ? OnDelete.ORPHAN : OnDelete.PRUNE,
    kinds: [...entry.kinds],
  });
}
