import type { Logger } from 'pino';
import { type Backoff, pause, retryMs } from '../concurrency/backoff.ts';
import { createWakeup } from '../concurrency/wakeup.ts';
import { DiagnosisError, type DiagnosisRequest, type Findings } from '../diagnostic/collect.ts';
import { errorMessage } from '../kube/api-error.ts';
import type { BrokerClient } from './client.ts';
import { BrokerError } from './error.ts';

export interface DiagnosticWorkerOptions {
  readonly broker: Pick<BrokerClient, 'claimDiagnostic' | 'completeDiagnostic'>;
  readonly log: Logger;
  readonly diagnose: (question: DiagnosisRequest, signal: AbortSignal) => Promise<Findings>;
  /** Longest time between two claims in milliseconds. */
  readonly intervalMs: number;
  readonly retry?: Backoff;
}

/** Answers diagnostic requests about the cluster, one after another, beside everything else. */
export interface DiagnosticWorker {
  /** Claims at once, since a request is waiting. */
  wake(): void;
  /** Works until the signal aborts or the agent is fenced. */
  run(signal: AbortSignal): Promise<void>;
}

const defaultRetry: Backoff = { baseMs: 1_000, maxMs: 30_000 };

export function createDiagnosticWorker(options: DiagnosticWorkerOptions): DiagnosticWorker {
  const { log, intervalMs, retry = defaultRetry } = options;
  const requested = createWakeup();
  return {
    wake: requested.wake,
    async run(signal) {
      for (let failures = 0; !signal.aborted; ) {
        // A hint that comes during the claim may be about a later request, and is kept.
        requested.reset();
        try {
          const isAnswered = await answerNext(options, signal);
          failures = 0;
          if (!isAnswered) await requested.wait(intervalMs * (0.8 + 0.2 * Math.random()), signal);
        } catch (error) {
          if (signal.aborted || (error instanceof BrokerError && error.kind === 'fenced')) return;
          log.debug({ reason: errorMessage(error) }, 'diagnostics cannot be claimed or answered');
          await pause(retryMs(retry, failures++), signal);
        }
      }
    },
  };
}

/** Returns whether there was a request. */
async function answerNext({ broker, diagnose, log }: DiagnosticWorkerOptions, signal: AbortSignal): Promise<boolean> {
  const question = await broker.claimDiagnostic(signal);
  if (!question) return false;
  log.info({ diagnostic: question.id, stackId: question.stackId }, 'collecting a diagnosis of a stack');
  try {
    const findings = await diagnose(question, signal);
    await broker.completeDiagnostic(question.id, findings, '', signal);
  } catch (error) {
    if (signal.aborted || (error instanceof BrokerError && error.kind !== 'invalid')) throw error;
    if (!(error instanceof DiagnosisError)) log.warn({ reason: errorMessage(error) }, 'a diagnosis failed');
    await broker.completeDiagnostic(question.id, undefined, errorMessage(error), signal);
  }
  return true;
}
