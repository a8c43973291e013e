import { Worker } from 'node:worker_threads';
import { andMore, closingRefusal, Refusal } from '../refusal.ts';
import type { ParsedManifest, ParseResult } from './parse.ts';
import type { Difference } from './rules.ts';

/** Parses submissions in worker threads, so that a large or hostile one never delays other calls. */
export interface Parser {
  /**
   * Parses a manifest and compares it with `before`, a manifest in canonical form (by default an empty one). INVALID_ARGUMENT names the
   * document and line of each problem; RESOURCE_EXHAUSTED when too many submissions are waiting.
   */
  parse(bytes: Uint8Array, before?: Uint8Array): Promise<ComparedManifest>;
  /** Returns the number of manifests that wait for a thread. */
  waiting(): number;
  close(): Promise<void>;
}

export interface ComparedManifest extends ParsedManifest {
  readonly changes: readonly Difference[];
}

/** The message to a thread. */
export interface ParseJob {
  readonly bytes: Uint8Array;
  readonly before: Uint8Array;
}

export type ParseJobResult = ComparedManifest | Exclude<ParseResult, ParsedManifest>;

interface Job extends ParseJob {
  readonly answer: PromiseWithResolvers<ParseJobResult>;
}

/** A thread and its current job. */
interface ParserThread {
  readonly worker: Worker;
  job: Job | undefined;
  timer: NodeJS.Timeout | undefined;
}

const defaultDeadlineMs = 20_000;
const queueLength = 256;
const heapMb = 512;

/**
 * Creates a parser with up to `count` threads, started on demand. A job that exceeds the deadline, or the memory limit, is refused and
 * its thread replaced.
 */
export function createParser(count: number, deadlineMs = defaultDeadlineMs): Parser {
  const queue: Job[] = [];
  const threads = new Set<ParserThread>();
  let closed = false;

  const startJobs = () => {
    while (!closed && queue.length > 0) {
      const thread = [...threads].find(({ job }) => job === undefined) ?? (threads.size < count ? start() : undefined);
      if (!thread) return;
      const job = queue.shift() as Job;
      thread.job = job;
      thread.timer = setTimeout(() => discard(thread, tooSlow(deadlineMs)), deadlineMs);
      thread.worker.postMessage({ bytes: job.bytes, before: job.before } satisfies ParseJob);
    }
  };

  /** Takes the job from a thread, which is then idle. */
  const release = (thread: ParserThread): Job | undefined => {
    const { job } = thread;
    clearTimeout(thread.timer);
    thread.job = undefined;
    return job;
  };

  /** Discards a thread, busy or idle. */
  const discard = (thread: ParserThread, reason: unknown) => {
    threads.delete(thread);
    release(thread)?.answer.reject(reason);
    void thread.worker.terminate();
    startJobs();
  };

  const start = (): ParserThread => {
    const worker = new Worker(new URL('./parse-worker.ts', import.meta.url), {
      resourceLimits: { maxOldGenerationSizeMb: heapMb },
    });
    worker.unref();
    const thread: ParserThread = { worker, job: undefined, timer: undefined };
    worker.on('message', (result: ParseJobResult) => {
      release(thread)?.answer.resolve(result);
      startJobs();
    });
    worker.on('error', (error: NodeJS.ErrnoException) =>
      discard(thread, error.code === 'ERR_WORKER_OUT_OF_MEMORY' ? outOfMemory(error) : error),
    );
    worker.on('exit', () => discard(thread, closingRefusal()));
    threads.add(thread);
    return thread;
  };

  return {
    async parse(bytes, before = new Uint8Array()) {
      if (closed) throw closingRefusal();
      if (queue.length >= queueLength)
        throw new Refusal('resource_exhausted', 'too many submissions are waiting: try again later');
      const answer = Promise.withResolvers<ParseJobResult>();
      queue.push({ bytes, before, answer });
      startJobs();
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
      await Promise.all([...threads].map(({ worker }) => worker.terminate()));
    },
  };
}

function tooSlow(deadlineMs: number): Refusal {
  return new Refusal('invalid_argument', `manifest: could not be read within ${deadlineMs / 1000} s`, {
    field: 'manifest',
    reason: 'BAD_MANIFEST',
  });
}

function outOfMemory(cause: Error): Refusal {
  return new Refusal('invalid_argument', 'manifest: takes too much memory to read', {
    field: 'manifest',
    reason: 'BAD_MANIFEST',
    cause,
  });
}
