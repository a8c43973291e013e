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
import { invalidKey } from '../access/rules.ts';
import { requireIncarnation } from '../agent/rules.ts';
import type { Deps } from '../deps.ts';
import { toRules } from '../generator/service.ts';
import { Refusal } from '../refusal.ts';
import { encodeOnce } from '../rpc/grpc/encoded.ts';
import { endOf, principalOf, refuseEnded } from '../rpc/principal.ts';
import { settingsMessage } from '../stack/settings-service.ts';
import type { Database } from '../store/database.ts';
import type { TargetStates } from './cache.ts';
import { createRestoreDetector } from './restore-detector.ts';
import { type AgentTargetState, makePageToken, planPage, readPageToken, type Summary } from './rules.ts';
import { readManifests } from './store.ts';

/** Long polls end with the reason of `closing` when it aborts. */
export function targetMethods({
  db,
  targets,
  closing,
}: Deps & { targets: TargetStates; closing: AbortSignal }): Pick<ServiceImpl<typeof AgentService>, 'pullTargetState'> {
  const detectRestore = createRestoreDetector(db);
  return {
    async pullTargetState(request, context) {
      const { ownerId: id, ownerName: name } = principalOf(context);
      const summary = await waitForChange(targets, request, context, closing);
      requireIncarnation(summary.incarnation, request.incarnation);
      await detectRestore({ id, name }, request, summary.epoch);
      if (request.pageToken === '' && summary.digest.equals(request.digest)) return unchangedAnswer(summary);
      const state = summary.paused ? undefined : requireExisting(await targets.full(id));
      if (!state || state.paused) return answerWithoutEntries(state ?? summary, TargetStateKind.PAUSED);
      const start = request.pageToken === '' ? 0 : readPageToken(request.pageToken, state.digest);
      if (start === undefined) {
        throw new Refusal('aborted', 'the target state has changed since the first page: pull again', {
          field: 'page_token',
          reason: 'STATE_CHANGED',
        });
      }
      return answerPage(db, state, start, request);
    },
  };
}

/** Returns the current state, or for a request that waits the state after a change or the end of the wait. */
async function waitForChange(
  targets: TargetStates,
  request: PullTargetStateRequest,
  context: HandlerContext,
  closing: AbortSignal,
): Promise<Summary> {
  const waitMs = request.wait ? durationMs(request.wait) : 0;
  const { ownerId } = principalOf(context);
  const current = requireExisting(await targets.current(ownerId));
  if (waitMs === 0 || request.pageToken !== '' || !current.digest.equals(request.digest)) return current;
  // An agent that was replaced by another start learns it at once, not after the wait.
  requireIncarnation(current.incarnation, request.incarnation);
  const changed = await targets.changed(ownerId, request, waitMs, endOf(context, closing));
  refuseEnded(context, closing);
  if (context.signal.aborted) throw new ConnectError('the call has ended', Code.Canceled);
  return requireExisting(changed);
}

/** Refuses the call of an agent that was deleted, as its key was deleted with it. */
function requireExisting<S>(state: S | undefined): S {
  if (state === undefined) throw invalidKey();
  return state;
}

async function answerPage(
  db: Database,
  state: AgentTargetState,
  start: number,
  { have, withoutManifests }: PullTargetStateRequest,
): Promise<PullTargetStateResponse> {
  const plan = planPage(state.entries, start, new Set(have.map((checksum) => Buffer.from(checksum).toString('hex'))));
  const inline = withoutManifests ? [] : plan.inline.map((hex) => Buffer.from(hex, 'hex'));
  const manifests = inline.length > 0 ? await readManifests(db, inline) : new Map<string, Buffer>();
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
function unchangedAnswer(state: Summary): PullTargetStateResponse {
  let answer = unchangedAnswers.get(state);
  if (!answer) {
    answer = encodeOnce(PullTargetStateResponseSchema, answerWithoutEntries(state, TargetStateKind.UNCHANGED));
    unchangedAnswers.set(state, answer);
  }
  return answer;
}

function answerWithoutEntries(state: Summary, kind: TargetStateKind): PullTargetStateResponse {
  return create(PullTargetStateResponseSchema, { kind, epoch: state.epoch, digest: state.digest });
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
