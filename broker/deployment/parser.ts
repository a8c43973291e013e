import { Worker } from 'node:worker_threads';
import { andMore, closingRefusal, Refusal } from '../refusal.ts';
import type { ParsedManifest, ParseResult } from './parse.ts';
import type { Difference } from './rules.ts';

/** Parses submissions in worker threads, so that a large or hostile one never stalls the calls of others. */
export interface Parser {
  /**
   * The parsed manifest with its differences from `before`, another in canonical form (by default an empty one), or INVALID_ARGUMENT
   * naming each bad document and line.
   */
  parse(bytes: Uint8Array, before?: Uint8Array): Promise<ComparedManifest>;
  /** How many manifests wait for a thread. */
  waiting(): number;
  close(): Promise<void>;
}

export interface ComparedManifest extends ParsedManifest {
  readonly changes: readonly Difference[];
}

/** What a thread is asked. */
export interface ParseJob {
  readonly bytes: Uint8Array;
  readonly before: Uint8Array;
}

export type ParseJobResult = ComparedManifest | Exclude<ParseResult, ParsedManifest>;

interface Job extends ParseJob {
  readonly answer: PromiseWithResolvers<ParseJobResult>;
}

/** A thread, and what it is at. */
interface Place {
  readonly worker: Worker;
  job: Job | undefined;
  timer: NodeJS.Timeout | undefined;
}

const defaultDeadlineMs = 20_000;
const queueLength = 256;
const heapMb = 512;

/**
 * Starts up to `count` threads on demand. A job that takes longer than the deadline, or too much memory, is refused and its thread
 * replaced.
 */
export function createParser(count: number, deadlineMs = defaultDeadlineMs): Parser {
  const queue: Job[] = [];
  const places = new Set<Place>();
  let closed = false;

  const next = () => {
    while (!closed && queue.length > 0) {
      const place = [...places].find(({ job }) => job === undefined) ?? (places.size < count ? start() : undefined);
      if (!place) return;
      const job = queue.shift() as Job;
      place.job = job;
      place.timer = setTimeout(() => lose(place, tooSlow(deadlineMs)), deadlineMs);
      place.worker.postMessage({ bytes: job.bytes, before: job.before } satisfies ParseJob);
    }
  };

  /** Takes the job from a thread, which is then free. */
  const take = (place: Place): Job | undefined => {
    const { job } = place;
    clearTimeout(place.timer);
    place.job = undefined;
    return job;
  };

  /** Gives up a thread, whether it works or idles. */
  const lose = (place: Place, why: unknown) => {
    places.delete(place);
    take(place)?.answer.reject(why);
    void place.worker.terminate();
    next();
  };

  const start = (): Place => {
    const worker = new Worker(new URL('./parse-worker.ts', import.meta.url), {
      resourceLimits: { maxOldGenerationSizeMb: heapMb },
    });
    worker.unref();
    const place: Place = { worker, job: undefined, timer: undefined };
    worker.on('message', (result: ParseJobResult) => {
      take(place)?.answer.resolve(result);
      next();
    });
    worker.on('error', (error: NodeJS.ErrnoException) =>
      lose(place, error.code === 'ERR_WORKER_OUT_OF_MEMORY' ? tooHeavy(error) : error),
    );
    worker.on('exit', () => lose(place, closingRefusal()));
    places.add(place);
    return place;
  };

  return {
    async parse(bytes, before = new Uint8Array()) {
      if (closed) throw closingRefusal();
      if (queue.length >= queueLength)
        throw new Refusal('resource_exhausted', 'too many submissions are waiting: try again later');
      const answer = Promise.withResolvers<ParseJobResult>();
      queue.push({ bytes, before, answer });
      next();
      const result = await answer.promise;
      if (!('violations' in result)) return result;
      const violations = result.violations.map(({ document, line, message }) => ({
        field: `manifest.documents[${document}]`,
        description: `document ${document}, line ${line}: ${message}`,
      }));
      throw new Refusal('invalid_argument', `manifest: ${violations[0]?.description}${andMore(violations)}`, {
        reason: 'BAD_MANIFEST',
        violations,
      });
    },
    waiting: () => queue.length,
    async close() {
      closed = true;
      for (const { answer } of queue.splice(0)) answer.reject(closingRefusal());
      await Promise.all([...places].map(({ worker }) => worker.terminate()));
    },
  };
}

function tooSlow(deadlineMs: number): Refusal {
  return new Refusal('invalid_argument', `manifest: could not be read within ${deadlineMs / 1000} s`, {
    field: 'manifest',
    reason: 'BAD_MANIFEST',
  });
}

function tooHeavy(cause: Error): Refusal {
  return new Refusal('invalid_argument', 'manifest: takes too much memory to read', {
    field: 'manifest',
    reason: 'BAD_MANIFEST',
    cause,
  });
}
