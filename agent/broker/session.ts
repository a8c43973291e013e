import { create } from '@bufbuild/protobuf';
import type { Logger } from 'pino';
import type { BrokkrClient } from '../../client/client.ts';
import { SessionHint, type SessionRequest, SessionRequestSchema } from '../../gen/brokkr/v1/target_state_pb.ts';
import { type Backoff, defaultBackoff, pause, retryMs } from '../concurrency/backoff.ts';
import type { Outbox } from '../telemetry/outbox.ts';
import type { BrokerClient } from './client.ts';
import { BrokerError, toBrokerError } from './error.ts';
import { type ClusterState, toClusterMessage } from './health.ts';
import { toTelemetryMessage } from './telemetry.ts';

export interface SessionOptions {
  readonly client: Pick<BrokkrClient, 'agent'>;
  readonly broker: Pick<BrokerClient, 'heartbeat' | 'incarnation'>;
  readonly log: Logger;
  /** Returns what each heartbeat says of the cluster. */
  readonly cluster: () => ClusterState;
  /** The telemetry that is sent up the stream. */
  readonly telemetry: Pick<Outbox, 'take' | 'available' | 'acknowledge' | 'rewind' | 'dropFirst'>;
  /** Called when the target state may have changed: at a hint, and whenever a session comes up or ends. */
  readonly targetChanged: () => void;
  /** Called when a session comes up: what was reported before may be lost. */
  readonly cameUp: () => void;
  /** Called when a diagnostic request may be waiting. */
  readonly diagnosticRequested: () => void;
  /** Called when the broker says on the stream that another agent runs with this key. */
  readonly fenced: (reason: string) => void;
  readonly retry?: Backoff;
  readonly heartbeatMs?: number;
  /** Milliseconds of silence after which a stream is given up; the broker sends something every 20 s. */
  readonly silentMs?: number;
}

export interface Session {
  readonly isUp: boolean;
  /** Keeps a session, and sends heartbeats without one, until the signal aborts or the agent is fenced. */
  run(signal: AbortSignal): Promise<void>;
}

type Parts = SessionOptions & Required<Pick<SessionOptions, 'retry' | 'heartbeatMs' | 'silentMs'>>;

/** Milliseconds in which telemetry gathers before it is sent. */
const gatherMs = 100;

/** A stream to the broker: hints down, heartbeats and telemetry up. It only makes things faster; everything works without it. */
export function createSession(options: SessionOptions): Session {
  const { retry = defaultBackoff, heartbeatMs = 30_000, silentMs = 70_000 } = options;
  const parts: Parts = { ...options, retry, heartbeatMs, silentMs };
  let isUp = false;
  const setUp = (up: boolean) => {
    isUp = up;
  };
  return {
    get isUp() {
      return isUp;
    },
    async run(signal) {
      await Promise.all([keepStream(parts, setUp, signal), keepBeating(parts, () => isUp, signal)]);
    },
  };
}

async function keepStream(parts: Parts, setUp: (up: boolean) => void, signal: AbortSignal): Promise<void> {
  const { retry, telemetry, log } = parts;
  for (let failures = 0; !signal.aborted; failures++) {
    const beganAt = Date.now();
    try {
      await openStream(parts, setUp, signal);
    } catch (error) {
      if (signal.aborted) return;
      const { kind, message } = toBrokerError(error);
      if (kind === 'fenced') return parts.fenced(message);
      // The next session would be refused for the same telemetry.
      if (kind === 'invalid') telemetry.dropFirst();
      log.debug({ reason: message }, 'the session ended');
    }
    // A change since the stream ended was not announced.
    parts.targetChanged();
    if (Date.now() - beganAt > retry.maxMs) failures = 0;
    await pause(retryMs(retry, failures), signal);
  }
}

/** Opens one stream and reads it to its end. Rejects with `fenced` when the broker says so. */
async function openStream(parts: Parts, setUp: (up: boolean) => void, signal: AbortSignal): Promise<void> {
  const { client, telemetry, silentMs } = parts;
  const end = new AbortController();
  const during = AbortSignal.any([signal, end.signal]);
  let heardAt = Date.now();
  const watchdog = setInterval(() => Date.now() - heardAt > silentMs && end.abort(), Math.min(5_000, silentMs / 4));
  try {
    telemetry.rewind();
    for await (const { hint, telemetrySequence } of client.agent.session(requests(parts, during), { signal: during })) {
      heardAt = Date.now();
      if (hint === SessionHint.READY) setUp(true);
      if (hint === SessionHint.KEY_REVOKED || hint === SessionHint.GOING_AWAY) return;
      follow(parts, hint, telemetrySequence);
    }
  } finally {
    setUp(false);
    clearInterval(watchdog);
    end.abort();
  }
}

function follow(parts: Parts, hint: SessionHint, telemetrySequence: bigint): void {
  switch (hint) {
    case SessionHint.READY:
      parts.cameUp();
      parts.diagnosticRequested();
      parts.targetChanged();
      break;
    case SessionHint.TARGET_STATE_CHANGED:
      parts.targetChanged();
      break;
    case SessionHint.DIAGNOSTIC_WAITING:
      parts.diagnosticRequested();
      break;
    case SessionHint.TELEMETRY_RECEIVED:
      parts.telemetry.acknowledge(telemetrySequence);
      break;
    case SessionHint.FENCED:
      throw new BrokerError('fenced', 'another agent has started with this key', undefined);
    case SessionHint.KEY_REVOKED:
    case SessionHint.GOING_AWAY:
    case SessionHint.KEEPALIVE:
    case SessionHint.UNSPECIFIED:
      break;
  }
}

/** Sends heartbeats by themselves while there is no session. */
async function keepBeating(parts: Parts, isUp: () => boolean, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await pause(parts.heartbeatMs, signal);
    if (isUp() || signal.aborted) continue;
    try {
      await parts.broker.heartbeat(parts.cluster(), signal);
    } catch (error) {
      if (toBrokerError(error).kind === 'fenced') return;
    }
  }
}

async function* requests(
  { broker, cluster, heartbeatMs, telemetry }: Parts,
  signal: AbortSignal,
): AsyncIterable<SessionRequest> {
  yield create(SessionRequestSchema, { message: { case: 'hello', value: { incarnation: broker.incarnation } } });
  // The first heartbeat is due at once, so that a broker which does not know the cluster's state need not wait for it.
  for (let beatAt = Date.now(); !signal.aborted; ) {
    const waitMs = beatAt - Date.now();
    // A due heartbeat goes before telemetry.
    const batch = waitMs > 0 ? telemetry.take() : undefined;
    if (batch) {
      yield create(SessionRequestSchema, { message: { case: 'telemetry', value: toTelemetryMessage(batch) } });
    } else if (waitMs > 0) {
      await pause(waitMs, signal, telemetry.available());
      await pause(Math.min(gatherMs, Math.max(0, beatAt - Date.now())), signal);
    } else {
      const value = { cluster: toClusterMessage(cluster()) };
      beatAt = Date.now() + heartbeatMs;
      yield create(SessionRequestSchema, { message: { case: 'heartbeat', value } });
    }
  }
}
