import type { Logger } from 'pino';
import { defaultBackoff, pause, retryMs } from '../concurrency/backoff.ts';
import { errorMessage } from '../kube/api-error.ts';
import type { Identity, Started } from './client.ts';
import { BrokerError, type BrokerErrorKind } from './error.ts';

export type Start = () => Promise<Started>;

export interface HandshakeOptions {
  readonly log: Logger;
  /** Called when the broker has accepted the agent. */
  readonly answered: () => void;
  /** Called after each failed try. */
  readonly failed: (reason: string) => void;
  /** Milliseconds between two tries that the broker refuses. */
  readonly longestMs: number;
}

/** Shortest time between two announcements to a broker that seems to have lost something. */
const reannounceMs = 60_000;
/** Answers that do not change when the call is soon repeated. */
const refusals: ReadonlySet<BrokerErrorKind> = new Set(['mismatch', 'unauthenticated', 'invalid', 'refused']);

/** Tries to start at the broker until that works. False when the signal aborted before. */
export async function startWithRetry(
  start: Start,
  { clusterId }: Pick<Identity, 'clusterId'>,
  { log, answered, failed, longestMs }: HandshakeOptions,
  signal: AbortSignal,
): Promise<boolean> {
  for (let failures = 0; !signal.aborted; failures++) {
    try {
      const { name, incarnation } = await start();
      log.info({ agent: name, incarnation: String(incarnation), clusterId }, 'agent started');
      answered();
      return true;
    } catch (error) {
      if (signal.aborted) return false;
      const reason = error instanceof Error ? error.message : String(error);
      failed(reason);
      const isRefused = error instanceof BrokerError && refusals.has(error.kind);
      if (isRefused) log.error({ reason }, 'the broker refuses this agent');
      else log.warn({ reason }, 'the broker does not answer');
      await pause(isRefused ? longestMs : retryMs(defaultBackoff, failures), signal);
    }
  }
  return false;
}

/**
 * Returns a function that announces once more what the cluster holds, once a minute at most. It is called when answers come from a
 * broker that seems to have lost something.
 */
export function createReannouncer(start: Start, log: Logger): () => void {
  let lastAt = 0;
  return () => {
    if (Date.now() - lastAt < reannounceMs) return;
    lastAt = Date.now();
    log.warn({}, 'the broker is behind what was seen before; announcing what the cluster holds');
    start().catch((error: unknown) => log.warn({ reason: errorMessage(error) }, 'the announcement failed'));
  };
}
