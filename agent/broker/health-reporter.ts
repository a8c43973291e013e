import { createHash } from 'node:crypto';
import type { Logger } from 'pino';
import { type Backoff, defaultBackoff, jittered, pause } from '../concurrency/backoff.ts';
import type { ChangeSet } from '../concurrency/change-set.ts';
import type { StackHealth } from '../health/status.ts';
import type { BrokerClient } from './client.ts';
import { BrokerError } from './error.ts';

export interface HealthReporterOptions {
  readonly broker: Pick<BrokerClient, 'reportHealth'>;
  readonly log: Logger;
  /** Ids of the stacks whose health may have changed. */
  readonly changes: ChangeSet;
  /** Returns the present health of a stack; undefined when nothing is known of it. */
  readonly healthOf: (stackId: string) => StackHealth | undefined;
  /** Milliseconds between two calls; default 1 s. */
  readonly everyMs?: number;
  readonly retry?: Backoff;
}

/** Reports the health of stacks to the broker when it changes; of several changes, only the last. */
export interface HealthReporter {
  /** Reports everything again, since the broker may not have it. */
  resend(): void;
  readonly pending: number;
  /** Sends until the signal aborts or the agent is fenced. */
  run(signal: AbortSignal): Promise<void>;
}

/** The contract takes no more at once, nor more than 1 MiB. */
const batchStacks = 100;
const batchBytes = 512 << 10;
/** Milliseconds in which changes gather before they are sent. */
const gatherMs = 150;

export function createHealthReporter(options: HealthReporterOptions): HealthReporter {
  const { log, changes, everyMs = 1_000, retry = defaultBackoff } = options;
  /** Hash of what was reported last, by stack. */
  const reported = new Map<string, string>();
  return {
    resend() {
      const stackIds = [...reported.keys()];
      reported.clear();
      for (const stackId of stackIds) changes.add(stackId);
    },
    get pending() {
      return changes.size;
    },
    async run(signal) {
      for (let failures = 0; !signal.aborted; ) {
        if (changes.size === 0) {
          await changes.wait(60_000, signal);
          await pause(gatherMs, signal);
          continue;
        }
        try {
          const isSent = await sendBatch(options, reported, signal);
          failures = 0;
          if (isSent) await pause(everyMs, signal);
        } catch (error) {
          if (signal.aborted || (error instanceof BrokerError && error.kind === 'fenced')) return;
          log.debug({ reason: String(error) }, 'health could not be reported');
          const isRefused = error instanceof BrokerError && error.kind === 'invalid';
          await pause(isRefused ? retry.maxMs : jittered(retry, failures++), signal);
        }
      }
    },
  };
}

/** Returns whether there was anything to send. */
async function sendBatch(
  { broker, changes, healthOf }: HealthReporterOptions,
  reported: Map<string, string>,
  signal: AbortSignal,
): Promise<boolean> {
  const batch = takeBatch(changes, healthOf, reported);
  if (batch.length === 0) return false;
  try {
    await broker.reportHealth(
      batch.map(({ health }) => health),
      signal,
    );
    for (const { health, hash } of batch) reported.set(health.stackId, hash);
  } catch (error) {
    for (const { health } of batch) changes.add(health.stackId);
    throw error;
  }
  return true;
}

/** Takes as many changes as one call carries. Stacks whose health is as reported are dropped from the changes. */
function takeBatch(
  changes: ChangeSet,
  healthOf: HealthReporterOptions['healthOf'],
  reported: Map<string, string>,
): { health: StackHealth; hash: string }[] {
  const batch: { health: StackHealth; hash: string }[] = [];
  let bytes = 0;
  for (const stackId of changes) {
    const health = healthOf(stackId);
    if (!health) reported.delete(stackId);
    const hash = health && hashOf(health);
    if (!health || hash === undefined || reported.get(stackId) === hash) {
      changes.delete(stackId);
      continue;
    }
    bytes += sizeOf(health);
    if (batch.length === batchStacks || (batch.length > 0 && bytes > batchBytes)) break;
    batch.push({ health, hash });
    changes.delete(stackId);
  }
  return batch;
}

function hashOf({ health, message, deploymentId, generation, objects, objectCount }: StackHealth): string {
  const parts = [health, message, deploymentId, String(generation), objectCount, objects];
  return createHash('sha256').update(JSON.stringify(parts)).digest('base64').slice(0, 16);
}

function sizeOf({ message, objects }: StackHealth): number {
  return objects.reduce((sum, object) => sum + 400 + 3 * object.message.length, 300 + 3 * message.length);
}
