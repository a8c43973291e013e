import { create } from '@bufbuild/protobuf';
import type { Logger } from 'pino';
import type { BrokkrClient } from '../../client/client.ts';
import { SessionHint, type SessionRequest, SessionRequestSchema } from '../../gen/brokkr/v1/target_state_pb.ts';
import { type Backoff, pause, retryMs, usualRetry } from '../concurrency/backoff.ts';
import type { Outbox } from '../telemetry/outbox.ts';
import type { Wire } from './client.ts';
import { toBrokerError } from './error.ts';
import { type ClusterState, toClusterMessage } from './health.ts';
import { toTelemetryMessage } from './telemetry.ts';

export interface SessionOptions {
  readonly client: Pick<BrokkrClient, 'agent'>;
  readonly wire: Pick<Wire, 'heartbeat' | 'incarnation'>;
  readonly log: Logger;
  /** Told with each heartbeat. */
  readonly cluster: () => ClusterState;
  /** Called when the session has come up, and at each hint that the target state has changed. */
  readonly wake: () => void;
  /** What goes up besides. */
  readonly telemetry: Pick<Outbox, 'take' | 'available' | 'acknowledge' | 'rewind' | 'dropFirst'>;
  /** The session has come up: what was told before may be lost. */
  readonly cameUp: () => void;
  /** A diagnostic is asked for. */
  readonly asked: () => void;
  /** Another agent runs with this key. */
  readonly fenced: (reason: string) => void;
  readonly retry?: Backoff;
  readonly heartbeatMs?: number;
  /** A stream on which nothing was heard for so long is given up; the broker sends something every 20 s. */
  readonly silentMs?: number;
}

export interface Session {
  readonly isUp: boolean;
  /** Keeps a session, and without one sends heartbeats by themselves, until the signal aborts. */
  run(signal: AbortSignal): Promise<void>;
}

/** Between the first of some telemetry and the message that tells it. */
const gatherMs = 100;

/** A stream to the broker: hints down, heartbeats and telemetry up. It only makes things faster; everything works without it. */
export function createSession(options: SessionOptions): Session {
  const { client, wire, log, telemetry, retry = usualRetry, heartbeatMs = 30_000, silentMs = 70_000 } = options;
  let isUp = false;

  /** One stream, to its end. Answers why it ended; a fence is final. */
  const stream = async (signal: AbortSignal): Promise<'ended' | 'fenced'> => {
    const end = new AbortController();
    const during = AbortSignal.any([signal, end.signal]);
    let heardAt = Date.now();
    const watchdog = setInterval(() => Date.now() - heardAt > silentMs && end.abort(), Math.min(5_000, silentMs / 4));
    try {
      telemetry.rewind();
      const upward = requests(wire.incarnation, options.cluster, heartbeatMs, telemetry, during);
      for await (const { hint, telemetrySequence } of client.agent.session(upward, { signal: during })) {
        heardAt = Date.now();
        switch (hint) {
          case SessionHint.READY:
            isUp = true;
            options.cameUp();
            options.asked();
            options.wake();
            break;
          case SessionHint.TARGET_STATE_CHANGED:
            options.wake();
            break;
          case SessionHint.DIAGNOSTIC_WAITING:
            options.asked();
            break;
          case SessionHint.TELEMETRY_RECEIVED:
            telemetry.acknowledge(telemetrySequence);
            break;
          case SessionHint.FENCED:
            return 'fenced';
          case SessionHint.KEY_REVOKED:
          case SessionHint.GOING_AWAY:
            return 'ended';
          case SessionHint.KEEPALIVE:
          case SessionHint.UNSPECIFIED:
            break;
        }
      }
      return 'ended';
    } finally {
      isUp = false;
      clearInterval(watchdog);
      end.abort();
    }
  };
  const keepStream = async (signal: AbortSignal) => {
    for (let failures = 0; !signal.aborted; failures++) {
      const beganAt = Date.now();
      try {
        if ((await stream(signal)) === 'fenced') return options.fenced('another agent has started with this key');
      } catch (error) {
        if (signal.aborted) return;
        const { kind, message } = toBrokerError(error);
        if (kind === 'fenced') return options.fenced(message);
        // It would be so again with the next session.
        if (kind === 'invalid') telemetry.dropFirst();
        log.debug({ reason: message }, 'the session ended');
      }
      // What has changed meanwhile was perhaps not heard.
      options.wake();
      if (Date.now() - beganAt > retry.maxMs) failures = 0;
      await pause(retryMs(retry, failures), signal);
    }
  };
  const keepBeating = async (signal: AbortSignal) => {
    while (!signal.aborted) {
      await pause(heartbeatMs, signal);
      if (isUp || signal.aborted) continue;
      try {
        await wire.heartbeat(options.cluster(), signal);
      } catch (error) {
        const { kind, message } = toBrokerError(error);
        if (kind === 'fenced') return options.fenced(message);
      }
    }
  };

  return {
    get isUp() {
      return isUp;
    },
    async run(signal) {
      await Promise.all([keepStream(signal), keepBeating(signal)]);
    },
  };
}

async function* requests(
  incarnation: bigint,
  cluster: () => ClusterState,
  heartbeatMs: number,
  telemetry: Pick<Outbox, 'take' | 'available'>,
  signal: AbortSignal,
): AsyncIterable<SessionRequest> {
  yield create(SessionRequestSchema, { message: { case: 'hello', value: { incarnation } } });
  // The first at once: a broker that does not know the cluster's state yet need not wait for it.
  for (let beatAt = Date.now(); !signal.aborted; ) {
    const waitMs = beatAt - Date.now();
    // Telemetry waits for heartbeats, never the other way round.
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
