import { createHash } from 'node:crypto';
import type { Logger } from 'pino';
import { type Backoff, jittered, pause, usualRetry } from '../concurrency/backoff.ts';
import type { StackHealth } from '../health/status.ts';
import type { Wire } from './client.ts';
import { BrokerError } from './error.ts';

export interface HealthReporterOptions {
  readonly wire: Pick<Wire, 'reportHealth'>;
  readonly log: Logger;
  /** How a stack does now; undefined when there is nothing to say. */
  readonly healthOf: (stackId: string) => StackHealth | undefined;
  /** Another agent runs with this key. */
  readonly fenced: (reason: string) => void;
  /** Between two calls. */
  readonly everyMs?: number;
  readonly retry?: Backoff;
}

/** Tells the broker how stacks do, whenever it changes; of several changes, only the last. */
export interface HealthReporter {
  /** How a stack does may be another now. */
  changed(stackId: string): void;
  /** Tells everything again: the broker may not have it. */
  resend(): void;
  readonly pending: number;
  /** Sends until the signal aborts. */
  run(signal: AbortSignal): Promise<void>;
}

/** The contract takes no more at once, nor more than 1 MiB. */
const batchStacks = 100;
const batchBytes = 512 << 10;
/** Between the first of some changes and the call that tells them. */
const gatherMs = 150;

export function createHealthReporter(options: HealthReporterOptions): HealthReporter {
  const { wire, log, healthOf, everyMs = 1_000, retry = usualRetry } = options;
  /** What was told last, as a hash. */
  const told = new Map<string, string>();
  const dirty = new Set<string>();
  let news = Promise.withResolvers<void>();

  /** What is to be told, as much as one call takes; what turned out to be no news is no longer dirty. */
  const takeBatch = () => {
    const batch: { health: StackHealth; hash: string }[] = [];
    let bytes = 0;
    for (const stackId of dirty) {
      const health = healthOf(stackId);
      if (!health) told.delete(stackId);
      const hash = health && hashOf(health);
      if (!health || told.get(stackId) === hash) {
        dirty.delete(stackId);
        continue;
      }
      bytes += sizeOf(health);
      if (batch.length === batchStacks || (batch.length > 0 && bytes > batchBytes)) break;
      batch.push({ health, hash: hash! });
      dirty.delete(stackId);
    }
    return batch;
  };
  const sendSome = async (signal: AbortSignal): Promise<boolean> => {
    const batch = takeBatch();
    if (batch.length === 0) return false;
    try {
      await wire.reportHealth(
        batch.map(({ health }) => health),
        signal,
      );
      for (const { health, hash } of batch) told.set(health.stackId, hash);
    } catch (error) {
      for (const { health } of batch) dirty.add(health.stackId);
      throw error;
    }
    return true;
  };

  return {
    changed(stackId) {
      dirty.add(stackId);
      news.resolve();
    },
    resend() {
      for (const stackId of told.keys()) dirty.add(stackId);
      told.clear();
      news.resolve();
    },
    get pending() {
      return dirty.size;
    },
    async run(signal) {
      for (let failures = 0; !signal.aborted; ) {
        if (dirty.size === 0) {
          news = Promise.withResolvers();
          await pause(60_000, signal, news.promise);
          await pause(gatherMs, signal);
          continue;
        }
        try {
          const isSent = await sendSome(signal);
          failures = 0;
          if (isSent) await pause(everyMs, signal);
        } catch (error) {
          if (signal.aborted) return;
          if (error instanceof BrokerError && error.kind === 'fenced') return options.fenced(error.message);
          log.debug({ reason: String(error) }, 'health could not be reported');
          const isRefused = error instanceof BrokerError && error.kind === 'invalid';
          await pause(isRefused ? retry.maxMs : jittered(retry, failures++), signal);
        }
      }
    },
  };
}

function hashOf({ health, message, deploymentId, generation, objects, objectCount }: StackHealth): string {
  const parts = [health, message, deploymentId, String(generation), objectCount, objects];
  return createHash('sha256').update(JSON.stringify(parts)).digest('base64').slice(0, 16);
}

function sizeOf({ message, objects }: StackHealth): number {
  return objects.reduce((sum, object) => sum + 400 + 3 * object.message.length, 300 + 3 * message.length);
}
