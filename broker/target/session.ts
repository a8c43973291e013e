import { create } from '@bufbuild/protobuf';
import type { ServiceImpl } from '@connectrpc/connect';
import type { AgentService } from '../../gen/brokkr/v1/agent_pb.ts';
import {
  type SessionHello,
  SessionHint,
  type SessionRequest,
  type SessionResponse,
  SessionResponseSchema,
} from '../../gen/brokkr/v1/target_state_pb.ts';
import type { Heartbeats } from '../agent/heartbeats.ts';
import { requireIncarnation } from '../agent/rules.ts';
import { toClusterState } from '../agent/service.ts';
import type { Deps } from '../deps.ts';
import type { DiagnosticNews } from '../diagnostic/notifier.ts';
import { Refusal } from '../refusal.ts';
import { endOf, principalOf } from '../rpc/principal.ts';
import type { Intake } from '../telemetry/intake.ts';
import { toldBy } from '../telemetry/service.ts';
import type { TargetStates } from './cache.ts';

const helloMs = 10_000;
const keepaliveMs = 20_000;
/** A peer that sent nothing for this long is gone; agents send heartbeats at least every 30 s. */
const silentMs = 120_000;

/**
 * Session: hints down, heartbeats and telemetry up. Hints are coalesced (a slow reader holds at most one of each), so a stream's queue is bounded.
 * `closing` aborts when the broker goes away.
 */
export function sessionMethods(
  deps: Deps & {
    targets: TargetStates;
    heartbeats: Heartbeats;
    news: DiagnosticNews;
    intake: Intake;
    closing: AbortSignal;
  },
): Pick<ServiceImpl<typeof AgentService>, 'session'> {
  return {
    async *session(requests, context) {
      const principal = principalOf(context);
      const agentId = principal.ownerId;
      const incoming = requests[Symbol.asyncIterator]();
      const first = await hello(incoming, endOf(context, deps.closing));
      const { incarnation } = first;
      const state = await deps.targets.current(agentId);
      requireIncarnation(state?.incarnation ?? 0n, incarnation);
      let digest = state?.digest;
      const pending = new Set<SessionHint>([SessionHint.READY]);
      let wake = Promise.withResolvers<void>();
      let lastHeardAt = Date.now();
      let received = 0n;
      // Once the last hint is to be given: whoever does not take it is not heard any more either.
      let isOver = false;
      const hint = (value: SessionHint) => {
        isOver ||= isLast(value);
        pending.add(value);
        wake.resolve();
      };
      const stop = deps.targets.watch(agentId, (now) => {
        if (!now) return hint(SessionHint.KEY_REVOKED);
        if (now.incarnation !== incarnation) return hint(SessionHint.FENCED);
        if (digest && now.digest.equals(digest)) return;
        digest = now.digest;
        hint(SessionHint.TARGET_STATE_CHANGED);
      });
      const revoked = () => hint(SessionHint.KEY_REVOKED);
      const leaving = () => hint(SessionHint.GOING_AWAY);
      principal.signal?.addEventListener('abort', revoked, { once: true });
      deps.closing.addEventListener('abort', leaving, { once: true });
      if (principal.signal?.aborted) revoked();
      if (deps.closing.aborted) leaving();
      const ended = () => wake.resolve();
      context.signal.addEventListener('abort', ended, { once: true });
      const keepalive = setInterval(() => hint(SessionHint.KEEPALIVE), keepaliveMs);
      const asked = () => hint(SessionHint.DIAGNOSTIC_WAITING);
      // What the feed has missed, a heartbeat tells.
      const unfollow = deps.news.follow(agentId, { changed: asked });
      const presence = deps.heartbeats.startSession(agentId, incarnation, asked);
      const heard = async ({ message }: SessionRequest): Promise<void> => {
        if (isOver) return;
        lastHeardAt = Date.now();
        if (message.case === 'telemetry') {
          const { sequence } = message.value;
          await deps.intake.take({ agentId, incarnation, sequence, items: toldBy(message.value) }, () => {
            received = sequence;
            hint(SessionHint.TELEMETRY_RECEIVED);
          });
          // It was not silent while it was not listened to.
          lastHeardAt = Date.now();
          return;
        }
        const cluster = message.case === 'heartbeat' ? message.value.cluster : undefined;
        presence.beat(cluster && toClusterState(cluster));
      };
      presence.beat();
      let peerEnded = false;
      void read(incoming, heard).then(() => {
        peerEnded = true;
        ended();
      });
      try {
        while (!context.signal.aborted && Date.now() - lastHeardAt < silentMs) {
          for (const value of [...pending]) {
            pending.delete(value);
            yield answer(value, received);
            if (isLast(value)) return;
          }
          if (pending.size > 0) continue;
          if (peerEnded) return;
          await wake.promise;
          wake = Promise.withResolvers<void>();
        }
      } finally {
        isOver = true;
        void incoming.return?.().catch(() => {});
        clearInterval(keepalive);
        stop();
        unfollow();
        presence.end();
        principal.signal?.removeEventListener('abort', revoked);
        deps.closing.removeEventListener('abort', leaving);
        context.signal.removeEventListener('abort', ended);
      }
    },
  };
}

/** The first message, which has to come soon and be a hello. */
async function hello(incoming: AsyncIterator<SessionRequest>, ended: AbortSignal): Promise<SessionHello> {
  const late = AbortSignal.any([ended, AbortSignal.timeout(helloMs)]);
  const first = await new Promise<IteratorResult<SessionRequest>>((resolve, reject) => {
    late.throwIfAborted();
    late.addEventListener('abort', () => reject(late.reason), { once: true });
    incoming.next().then(resolve, reject);
  }).catch((error: unknown) => {
    throw error instanceof Error && error.name === 'TimeoutError' ? noHello() : error;
  });
  if (first.done || first.value.message.case !== 'hello') throw noHello();
  return first.value.message.value;
}

function noHello(): Refusal {
  return new Refusal('invalid_argument', 'the first message must be a hello', { field: 'hello' });
}

/** Reads until the agent ends its side or the stream breaks; a hello comes only once. */
async function read(
  incoming: AsyncIterator<SessionRequest>,
  heard: (request: SessionRequest) => Promise<void>,
): Promise<void> {
  try {
    for (let next = await incoming.next(); !next.done; next = await incoming.next()) await heard(next.value);
  } catch {
    // the stream broke: the caller's signal says so
  }
}

function isLast(value: SessionHint): boolean {
  return value === SessionHint.KEY_REVOKED || value === SessionHint.GOING_AWAY || value === SessionHint.FENCED;
}

function answer(hint: SessionHint, telemetrySequence: bigint): SessionResponse {
  return create(SessionResponseSchema, { hint, telemetrySequence });
}
