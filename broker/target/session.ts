import { create } from '@bufbuild/protobuf';
import type { HandlerContext, ServiceImpl } from '@connectrpc/connect';
import type { AgentService } from '../../gen/brokkr/v1/agent_pb.ts';
import {
  type SessionHello,
  SessionHint,
  type SessionRequest,
  SessionResponseSchema,
} from '../../gen/brokkr/v1/target_state_pb.ts';
import type { Heartbeats } from '../agent/heartbeats.ts';
import { requireIncarnation } from '../agent/rules.ts';
import { toClusterState } from '../agent/service.ts';
import type { Deps } from '../deps.ts';
import type { DiagnosticNotifier } from '../diagnostic/notifier.ts';
import { Refusal } from '../refusal.ts';
import { endOf, principalOf } from '../rpc/principal.ts';
import type { Intake } from '../telemetry/intake.ts';
import { readItems } from '../telemetry/service.ts';
import type { TargetStates } from './cache.ts';
import { createHintQueue, type HintQueue } from './hint-queue.ts';
import type { Summary } from './rules.ts';

const helloTimeoutMs = 10_000;
const keepaliveMs = 20_000;
/** Agents send heartbeats at least every 30 s, so after this silence the agent is gone. */
const maxSilenceMs = 120_000;

interface SessionDeps extends Deps {
  readonly targets: TargetStates;
  readonly heartbeats: Heartbeats;
  readonly diagnosticNotifier: DiagnosticNotifier;
  readonly intake: Intake;
  /** Aborts when the broker shuts down. */
  readonly closing: AbortSignal;
}

/** An agent's open session. */
interface Session {
  readonly agentId: string;
  readonly incarnation: bigint;
  readonly hints: HintQueue<SessionHint>;
  /** Undoes what the session has subscribed to. */
  readonly cleanup: DisposableStack;
}

/** Session sends hints to the agent, and receives its heartbeats and telemetry. */
export function sessionMethods(deps: SessionDeps): Pick<ServiceImpl<typeof AgentService>, 'session'> {
  return {
    async *session(requests, context) {
      const incoming = requests[Symbol.asyncIterator]();
      const { incarnation } = await readHello(incoming, endOf(context, deps.closing));
      const agentId = principalOf(context).ownerId;
      const state = await deps.targets.current(agentId);
      requireIncarnation(state?.incarnation ?? 0n, incarnation);
      const hints = createHintQueue(isLast);
      hints.add(SessionHint.READY);
      const session: Session = { agentId, incarnation, hints, cleanup: new DisposableStack() };
      session.cleanup.defer(() => void incoming.return?.().catch(() => {}));
      hintTargetChanges(session, deps.targets, state);
      hintEnds(session, context, deps.closing);
      hintPeriodically(session);
      const receiver = createReceiver(session, deps);
      void receiveAll(incoming, receiver.receive).then(hints.end);
      try {
        while (!context.signal.aborted && receiver.silenceMs() < maxSilenceMs) {
          const hint = hints.take();
          if (hint !== undefined) {
            yield create(SessionResponseSchema, { hint, telemetrySequence: receiver.telemetrySequence() });
            if (isLast(hint)) return;
          } else if (hints.isEnded) return;
          else await hints.changed();
        }
      } finally {
        receiver.stop();
        session.cleanup.dispose();
      }
    },
  };
}

/** Reads the first message, which has to come soon and to be a hello. */
async function readHello(incoming: AsyncIterator<SessionRequest>, ended: AbortSignal): Promise<SessionHello> {
  const aborted = AbortSignal.any([ended, AbortSignal.timeout(helloTimeoutMs)]);
  const first = await new Promise<IteratorResult<SessionRequest>>((resolve, reject) => {
    aborted.throwIfAborted();
    aborted.addEventListener('abort', () => reject(aborted.reason), { once: true });
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

/** Hints that the target state has changed, that another start has replaced this one, or that the agent was deleted. */
function hintTargetChanges(session: Session, targets: TargetStates, first: Summary | undefined): void {
  const { agentId, incarnation, hints, cleanup } = session;
  let digest = first?.digest;
  const unwatch = targets.watch(agentId, (state) => {
    if (!state) return hints.add(SessionHint.KEY_REVOKED);
    if (state.incarnation !== incarnation) return hints.add(SessionHint.FENCED);
    if (digest && state.digest.equals(digest)) return;
    digest = state.digest;
    hints.add(SessionHint.TARGET_STATE_CHANGED);
  });
  cleanup.defer(unwatch);
}

/** Hints the end of the key and of the broker, and wakes the session when its call ends. */
function hintEnds({ hints, cleanup }: Session, context: HandlerContext, closing: AbortSignal): void {
  const onAbort = (signal: AbortSignal | undefined, listener: () => void) => {
    if (signal?.aborted) listener();
    signal?.addEventListener('abort', listener, { once: true });
    cleanup.defer(() => signal?.removeEventListener('abort', listener));
  };
  onAbort(principalOf(context).signal, () => hints.add(SessionHint.KEY_REVOKED));
  onAbort(closing, () => hints.add(SessionHint.GOING_AWAY));
  onAbort(context.signal, hints.wake);
}

function hintPeriodically({ hints, cleanup }: Session): void {
  const timer = setInterval(() => hints.add(SessionHint.KEEPALIVE), keepaliveMs);
  cleanup.defer(() => clearInterval(timer));
}

/** Receives the agent's messages. */
interface Receiver {
  receive(request: SessionRequest): Promise<void>;
  /** Milliseconds since the last message. */
  silenceMs(): number;
  /** Sequence of the last batch of telemetry that was stored or discarded for good. */
  telemetrySequence(): bigint;
  /** Makes it ignore all further messages. */
  stop(): void;
}

function createReceiver(session: Session, { heartbeats, diagnosticNotifier, intake }: SessionDeps): Receiver {
  const { agentId, incarnation, hints, cleanup } = session;
  const hintDiagnostic = () => hints.add(SessionHint.DIAGNOSTIC_WAITING);
  // Heartbeats also find the diagnostics whose notification was lost.
  const presence = heartbeats.startSession(agentId, incarnation, hintDiagnostic);
  cleanup.defer(diagnosticNotifier.subscribe(agentId, { changed: hintDiagnostic }));
  cleanup.defer(presence.end);
  presence.beat();
  let lastReceivedAt = Date.now();
  let telemetrySequence = 0n;
  let isStopped = false;
  return {
    async receive({ message }) {
      // After the last hint nothing more counts, even while the agent does not read that hint.
      if (isStopped || hints.hasLast) return;
      lastReceivedAt = Date.now();
      if (message.case === 'telemetry') {
        const { sequence } = message.value;
        await intake.take({ agentId, incarnation, sequence, items: readItems(message.value) }, () => {
          telemetrySequence = sequence;
          hints.add(SessionHint.TELEMETRY_RECEIVED);
        });
        // While the intake made the agent wait, it was not silent.
        lastReceivedAt = Date.now();
        return;
      }
      const cluster = message.case === 'heartbeat' ? message.value.cluster : undefined;
      presence.beat(cluster && toClusterState(cluster));
    },
    silenceMs: () => Date.now() - lastReceivedAt,
    telemetrySequence: () => telemetrySequence,
    stop: () => {
      isStopped = true;
    },
  };
}

/** Receives until the agent ends its side or the stream breaks. */
async function receiveAll(
  incoming: AsyncIterator<SessionRequest>,
  receive: (request: SessionRequest) => Promise<void>,
): Promise<void> {
  try {
    for (let next = await incoming.next(); !next.done; next = await incoming.next()) await receive(next.value);
  } catch {
    // The stream broke, which also aborts the call's signal.
  }
}

function isLast(hint: SessionHint): boolean {
  return hint === SessionHint.KEY_REVOKED || hint === SessionHint.GOING_AWAY || hint === SessionHint.FENCED;
}
