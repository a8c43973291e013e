import { create } from '@bufbuild/protobuf';
import { durationMs } from '@bufbuild/protobuf/wkt';
import { Code, ConnectError, type HandlerContext, type ServiceImpl } from '@connectrpc/connect';
import { placementStates } from '../../contract/enum-names.ts';
import type { TargetEntry } from '../../contract/target-state.ts';
import type { AgentService } from '../../gen/brokkr/v1/agent_pb.ts';
import {
  type TargetEntry as EntryMessage,
  ManifestSchema,
  type PullTargetStateRequest,
  type PullTargetStateResponse,
  PullTargetStateResponseSchema,
  TargetEntrySchema,
  TargetStateKind,
} from '../../gen/brokkr/v1/target_state_pb.ts';
import type { Principal } from '../access/principal.ts';
import { invalidKey } from '../access/rules.ts';
import { readHighest } from '../agent/life-store.ts';
import { noticeNewer } from '../agent/lifecycle.ts';
import { requireIncarnation } from '../agent/rules.ts';
import type { Deps } from '../deps.ts';
import { toRules } from '../generator/service.ts';
import { Refusal } from '../refusal.ts';
import { outsideCall } from '../rpc/call.ts';
import { encodeOnce } from '../rpc/grpc/encoded.ts';
import { endOf, principalOf, refuseEnded } from '../rpc/principal.ts';
import { settingsMessage } from '../stack/settings-service.ts';
import type { Database } from '../store/orm.ts';
import type { TargetStates } from './cache.ts';
import { type AgentTargetState, makePageToken, planPage, readPageToken, type Summary } from './rules.ts';
import { ownManifests, readManifests } from './store.ts';

type Methods = 'pullTargetState' | 'getManifests';

const chunkBytes = 256 << 10;
/** Manifests are read from the database in portions of about this much, so that a cold agent's 60 MiB are never in memory at once. */
const portionBytes = 4 << 20;

/** `closing` aborts, with a refusal, when the broker goes away: long polls end with it. */
export function targetMethods({
  db,
  log,
  targets,
  closing,
}: Deps & { targets: TargetStates; closing: AbortSignal }): Pick<ServiceImpl<typeof AgentService>, Methods> {
  const notice = newerNotice(db);
  return {
    async pullTargetState(request, context) {
      const agentId = principalOf(context).ownerId;
      const now = await waitFor(targets, request, context, closing);
      requireIncarnation(now.incarnation, request.incarnation);
      await notice(principalOf(context), request, now);
      if (request.pageToken === '' && now.digest.equals(request.digest)) return unchanged(now);
      const state = now.paused ? undefined : known(await targets.index(agentId));
      if (!state || state.paused) return plain(state ?? now, TargetStateKind.PAUSED);
      const start = request.pageToken === '' ? 0 : readPageToken(request.pageToken, state.digest);
      if (start === undefined) {
        throw new Refusal('aborted', 'the target state has changed since the first page: pull again', {
          field: 'page_token',
          reason: 'STATE_CHANGED',
        });
      }
      return page(db, state, start, request);
    },

    async *getManifests(request, context) {
      const { ownerId: agentId, signal: keyEnded } = principalOf(context);
      requireIncarnation(await targets.incarnationOf(agentId), request.incarnation);
      const asked = request.checksums.map((checksum) => Buffer.from(checksum));
      const sizes = await ownManifests(db, agentId, asked);
      const strange = asked.find((checksum) => !sizes.has(checksum.toString('hex')));
      if (strange)
        throw new Refusal('not_found', `manifest ${strange.toString('hex')} not found`, {
          field: 'checksums',
          reason: 'NO_SUCH_MANIFEST',
        });
      let unreadable: Buffer | undefined;
      for (const [at, portion] of [...portions(asked, sizes)].entries()) {
        // A slow reader may take minutes for each: what it may have is asked again.
        const own = at === 0 ? sizes : await ownManifests(db, agentId, portion);
        const data = await readManifests(
          db,
          portion.filter((checksum) => own.has(checksum.toString('hex'))),
        );
        for (const checksum of portion) {
          const bytes = data.get(checksum.toString('hex'));
          if (!bytes) {
            unreadable = checksum;
            continue;
          }
          for (let offset = 0; offset === 0 || offset < bytes.length; offset += chunkBytes) {
            if (keyEnded?.aborted) throw invalidKey();
            const end = offset + chunkBytes;
            yield { checksum, data: bytes.subarray(offset, end), last: end >= bytes.length };
          }
        }
      }
      // After all the others: one that was damaged must not keep them back.
      if (unreadable) {
        log.error({ checksum: unreadable.toString('hex') }, 'a manifest cannot be decrypted');
        throw new Refusal('not_found', `manifest ${unreadable.toString('hex')} cannot be read`, {
          field: 'checksums',
          reason: 'NO_SUCH_MANIFEST',
        });
      }
    },
  };
}

/** The state as it is, or after the wait for a change of it that was asked for. */
async function waitFor(
  targets: TargetStates,
  request: PullTargetStateRequest,
  context: HandlerContext,
  closing: AbortSignal,
): Promise<Summary> {
  const waitMs = request.wait ? durationMs(request.wait) : 0;
  const { ownerId } = principalOf(context);
  const now = known(await targets.current(ownerId));
  if (waitMs === 0 || request.pageToken !== '' || !now.digest.equals(request.digest)) return now;
  // An agent that is fenced, or that another cluster's replaced, must not wait for minutes to be told.
  requireIncarnation(now.incarnation, request.incarnation);
  const state = await targets.changed(ownerId, request, waitMs, endOf(context, closing));
  refuseEnded(context, closing);
  if (context.signal.aborted) throw new ConnectError('the call has ended', Code.Canceled);
  return known(state);
}

/** An agent that is gone has no key any more. */
function known<S>(state: S | undefined): S {
  if (state === undefined) throw invalidKey();
  return state;
}

/** For how long an order that was read is taken as given out; a database restored under a running broker is noticed after it. */
const highestForMs = 60_000;

/**
 * An agent that presents something newer than the database has is the witness of a restored backup: a new epoch begins.
 * Orders only grow, so the highest one read lately spares idle pulls the database; agents that are woken together share a read.
 */
function newerNotice(
  db: Database,
): (agent: Principal, request: PullTargetStateRequest, state: Summary) => Promise<void> {
  let seen = { epoch: 0n, highestOrder: 0n, at: Number.NEGATIVE_INFINITY };
  let reading: Promise<void> | undefined;
  const read = async () => {
    const at = performance.now();
    seen = { ...(await outsideCall(() => readHighest(db))), at };
  };
  return async (agent, request, state) => {
    if (request.epoch === 0n && request.order === 0n) return;
    const isKnown = () =>
      request.epoch <= (state.epoch > seen.epoch ? state.epoch : seen.epoch) &&
      request.order <= seen.highestOrder &&
      performance.now() - seen.at < highestForMs;
    if (isKnown()) return;
    reading ??= read().finally(() => {
      reading = undefined;
    });
    await reading;
    if (!isKnown())
      await db.transact((tx) => noticeNewer(tx, { id: agent.ownerId, name: agent.ownerName }, request, []));
  };
}

async function page(
  db: Database,
  state: AgentTargetState,
  start: number,
  { have, withoutManifests }: PullTargetStateRequest,
): Promise<PullTargetStateResponse> {
  const plan = planPage(state.entries, start, new Set(have.map((checksum) => Buffer.from(checksum).toString('hex'))));
  const manifests =
    plan.inline.length > 0 && !withoutManifests
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
    generators:
      start === 0 ? state.generators.map(({ generator, limits }) => ({ generator, rules: toRules(limits) })) : [],
  });
}

const unchangedAnswers = new WeakMap<Summary, PullTargetStateResponse>();

/** Returns the answer to an idle poll, which is encoded once for each state. */
function unchanged(state: Summary): PullTargetStateResponse {
  let answer = unchangedAnswers.get(state);
  if (!answer) {
    answer = encodeOnce(PullTargetStateResponseSchema, plain(state, TargetStateKind.UNCHANGED));
    unchangedAnswers.set(state, answer);
  }
  return answer;
}

function plain(state: Summary, kind: TargetStateKind): PullTargetStateResponse {
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

function toMessage(entry: TargetEntry): EntryMessage {
  return create(TargetEntrySchema, {
    ...entry,
    state: placementStates[entry.state],
    checksum: Buffer.from(entry.checksum, 'hex'),
    size: BigInt(entry.size),
    ...settingsMessage(entry),
    kinds: [...entry.kinds],
    dependsOnIds: [...entry.dependsOnIds],
    confirmedKeys: [...entry.confirmedKeys],
  });
}
