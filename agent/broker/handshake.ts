import type { Logger } from 'pino';
import { pause, retryMs, usualRetry } from '../concurrency/backoff.ts';
import { errorMessage } from '../kube/api-error.ts';
import type { Connectivity } from '../observability/connectivity.ts';
import type { Identity, Wire } from './client.ts';
import { BrokerError, type BrokerErrorKind } from './error.ts';

type Start = () => ReturnType<Wire['start']>;

/** Between two presentations to a broker that seems to have lost something. */
const doubtMs = 60_000;
/** What asking again soon does not change. */
const refusals: ReadonlySet<BrokerErrorKind> = new Set(['mismatch', 'unauthenticated', 'invalid', 'refused']);

/** Tells the broker which cluster this is, and what it holds, however long that takes. False when the agent is to stop. */
export async function startWithRetry(
  start: Start,
  { clusterId }: Identity,
  {
    connectivity,
    log,
    longestMs,
  }: { readonly connectivity: Connectivity; readonly log: Logger; readonly longestMs: number },
  signal: AbortSignal,
): Promise<boolean> {
  for (let failures = 0; !signal.aborted; failures++) {
    try {
      const { name, incarnation } = await start();
      log.info({ agent: name, incarnation: String(incarnation), clusterId }, 'agent started');
      connectivity.brokerAnswered();
      return true;
    } catch (error) {
      if (signal.aborted) return false;
      const reason = error instanceof Error ? error.message : String(error);
      connectivity.brokerFailed(reason);
      const isSlow = error instanceof BrokerError && refusals.has(error.kind);
      if (isSlow) log.error({ reason }, 'the broker refuses this agent');
      else log.warn({ reason }, 'the broker does not answer');
      await pause(isSlow ? longestMs : retryMs(usualRetry, failures), signal);
    }
  }
  return false;
}

/** Presents what the cluster holds once more, now and then, when answers seem to come from a broker that lost something. */
export function createReannouncer(start: Start, log: Logger): () => void {
  let lastAt = 0;
  return () => {
    if (Date.now() - lastAt < doubtMs) return;
    lastAt = Date.now();
    log.warn({}, 'the broker is behind what was seen before; presenting what the cluster holds');
    start().catch((error: unknown) => log.warn({ reason: errorMessage(error) }, 'presenting failed'));
  };
}
