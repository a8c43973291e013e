import type { Logger } from 'pino';
import { type Backoff, pause, retryMs } from '../concurrency/backoff.ts';
import { DiagnosisError, type DiagnosisRequest, type Findings } from '../diagnostic/collect.ts';
import { errorMessage } from '../kube/api-error.ts';
import type { Wire } from './client.ts';
import { BrokerError } from './error.ts';

export interface DiagnosticianOptions {
  readonly wire: Pick<Wire, 'claimDiagnostic' | 'completeDiagnostic'>;
  readonly log: Logger;
  readonly diagnose: (question: DiagnosisRequest, signal: AbortSignal) => Promise<Findings>;
  /** Longest time between two looks at whether something is asked. */
  readonly intervalMs: number;
  /** Another agent runs with this key. */
  readonly fenced: (reason: string) => void;
  readonly retry?: Backoff;
}

/** Answers what is asked about the cluster: one question after another, beside everything else. */
export interface Diagnostician {
  /** Something is asked. */
  wake(): void;
  run(signal: AbortSignal): Promise<void>;
}

const defaultRetry: Backoff = { baseMs: 1_000, maxMs: 30_000 };

export function createDiagnostician(options: DiagnosticianOptions): Diagnostician {
  const { wire, log, intervalMs, retry = defaultRetry } = options;
  let woken = Promise.withResolvers<void>();

  /** Answers whether there was a question. */
  const answerOne = async (signal: AbortSignal): Promise<boolean> => {
    const question = await wire.claimDiagnostic(signal);
    if (!question) return false;
    log.info({ diagnostic: question.id, stackId: question.stackId }, 'looking at a stack for somebody who asked');
    try {
      const findings = await options.diagnose(question, signal);
      await wire.completeDiagnostic(question.id, findings, '', signal);
    } catch (error) {
      if (signal.aborted || (error instanceof BrokerError && error.kind !== 'invalid')) throw error;
      if (!(error instanceof DiagnosisError)) log.warn({ reason: errorMessage(error) }, 'a diagnosis failed');
      await wire.completeDiagnostic(question.id, undefined, errorMessage(error), signal);
    }
    return true;
  };

  return {
    wake: () => woken.resolve(),
    async run(signal) {
      for (let failures = 0; !signal.aborted; ) {
        // A hint that comes during the look may be about a later question.
        woken = Promise.withResolvers();
        try {
          const asked = await answerOne(signal);
          failures = 0;
          if (!asked) await pause(intervalMs * (0.8 + 0.2 * Math.random()), signal, woken.promise);
        } catch (error) {
          if (signal.aborted) return;
          if (error instanceof BrokerError && error.kind === 'fenced') return options.fenced(error.message);
          log.debug({ reason: errorMessage(error) }, 'diagnostics cannot be claimed or answered');
          await pause(retryMs(retry, failures++), signal);
        }
      }
    },
  };
}
