import { Worker } from 'node:worker_threads';
import { andMore, closingRefusal, Refusal } from '../refusal.ts';
import type { ParsedManifest, ParseResult } from './parse.ts';
import { createParseQueue, type Queued } from './parse-queue.ts';
import type { Difference } from './rules.ts';

/** Parses submissions in worker threads, so that a large or hostile one never delays other calls. */
export interface Parser {
  /**
   * Parses a manifest and compares it with another. INVALID_ARGUMENT names the document and line of each problem; RESOURCE_EXHAUSTED
   * when too much is waiting. When the signal aborts, because the caller has gone, the job is dropped and its reason thrown.
   */
  parse(bytes: Uint8Array, options?: ParseOptions): Promise<ComparedManifest>;
  /** Returns the number of manifests that wait for a thread. */
  waiting(): number;
  close(): Promise<void>;
}

export interface ParseOptions {
  /** Another manifest in canonical form to compare with; by default an empty one. */
  readonly before?: Uint8Array | undefined;
  /** The namespace of objects that name none; by default they stay without. */
  readonly namespace?: string;
  /** Id of the caller: threads are shared fairly between callers. */
  readonly caller?: string;
  readonly signal?: AbortSignal;
}

export interface ComparedManifest extends ParsedManifest {
  readonly changes: readonly Difference[];
}

/** The message to a thread. */
export interface ParseJob {
  readonly bytes: Uint8Array;
  readonly before: Uint8Array;
  readonly namespace: string;
}

export type ParseJobResult = ComparedManifest | Exclude<ParseResult, ParsedManifest>;

interface Job extends Queued {
  readonly work: ParseJob;
  readonly answer: PromiseWithResolvers<ParseJobResult>;
}

/** A thread and its current job. */
interface Thread {
  readonly worker: Worker;
  /** The thread takes only small jobs, so that large ones never delay them. */
  readonly isForSmall: boolean;
  job: Job | undefined;
  timer: NodeJS.Timeout | undefined;
}

/** Limit of the CPU time for one manifest. */
const defaultLimitMs = 20_000;
/** Ratio of elapsed to CPU time from which the machine is too busy, and the manifest not to blame. */
const starvedFactor = 10;
const checkMs = 250;
const queueLimits = { jobs: 256, bytes: 128 << 20 };
const smallBytes = 256 << 10;
const heapMb = 512;

/**
 * Creates a parser with up to `count` threads, started on demand, and one more that only takes manifests of up to 256 KiB. A job that
 * exceeds the limit of CPU time, or the memory limit, is refused and its thread replaced.
 */
export function createParser(count: number, limitMs = defaultLimitMs): Parser {
  const queue = createParseQueue<Job>(queueLimits);
  const threads = new Set<Thread>();
  let closed = false;

  /** Finds an idle thread, or starts one if another is allowed. */
  const findIdle = (isForSmall: boolean): Thread | undefined => {
    const candidates = [...threads].filter((thread) => thread.isForSmall === isForSmall);
    const idle = candidates.find(({ job }) => job === undefined);
    return idle ?? (candidates.length < (isForSmall ? 1 : count) ? start(isForSmall) : undefined);
  };
  const isSmall = ({ bytes }: Job) => bytes <= smallBytes;

  const startJobs = () => {
    while (!closed && queue.length > 0) {
      const thread = findIdle(false) ?? findIdle(true);
      const job = thread && queue.take(thread.isForSmall ? isSmall : undefined);
      if (!job) return;
      run(thread, job);
    }
  };

  const run = (thread: Thread, job: Job) => {
    thread.job = job;
    thread.worker.postMessage(job.work);
    void watch(thread, job);
  };

  /** Ends a job that has used up its CPU time, or that the machine is too busy for. */
  const watch = async (thread: Thread, job: Job) => {
    const startedAt = Date.now();
    const before = await cpuMs(thread.worker);
    const check = async () => {
      const used = (await cpuMs(thread.worker)) - before;
      if (thread.job !== job) return;
      if (used > limitMs) return discard(thread, tooSlow(limitMs));
      if (Date.now() - startedAt > limitMs * starvedFactor) return discard(thread, starved());
      thread.timer = setTimeout(() => void check(), checkMs);
    };
    if (thread.job === job) thread.timer = setTimeout(() => void check(), checkMs);
  };

  /** Takes the job from a thread, which is then idle. */
  const release = (thread: Thread): Job | undefined => {
    const { job } = thread;
    clearTimeout(thread.timer);
    thread.job = undefined;
    return job;
  };

  /** Discards a thread, busy or idle. */
  const discard = (thread: Thread, reason: unknown) => {
    threads.delete(thread);
    release(thread)?.answer.reject(reason);
    void thread.worker.terminate();
    startJobs();
  };

  const start = (isForSmall: boolean): Thread => {
    const worker = new Worker(new URL('./parse-worker.ts', import.meta.url), {
      resourceLimits: { maxOldGenerationSizeMb: heapMb },
    });
    worker.unref();
    const thread: Thread = { worker, isForSmall, job: undefined, timer: undefined };
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

  /** Drops the job of a caller who has gone: from the queue, or with its thread. */
  const abandon = (job: Job, reason: unknown) => {
    if (queue.remove(job)) return job.answer.reject(reason);
    const thread = [...threads].find((candidate) => candidate.job === job);
    if (thread) discard(thread, reason);
  };

  return {
    async parse(bytes, { before = new Uint8Array(), namespace = '', caller = '', signal } = {}) {
      if (closed) throw closingRefusal();
      signal?.throwIfAborted();
      const answer = Promise.withResolvers<ParseJobResult>();
      const job: Job = { caller, bytes: bytes.length + before.length, work: { bytes, before, namespace }, answer };
      if (!queue.add(job)) throw new Refusal('resource_exhausted', 'too many submissions are waiting: try again later');
      const onAbort = () => abandon(job, signal?.reason);
      signal?.addEventListener('abort', onAbort, { once: true });
      startJobs();
      const result = await answer.promise.finally(() => signal?.removeEventListener('abort', onAbort));
      if ('violations' in result) throw badManifest(result.violations);
      return result;
    },
    waiting: () => queue.length,
    async close() {
      closed = true;
      for (const { answer } of queue.drain()) answer.reject(closingRefusal());
      await Promise.all([...threads].map(({ worker }) => worker.terminate()));
    },
  };
}

/** Reads a thread's CPU time so far; 0 for one that has not begun or has ended. */
async function cpuMs(worker: Worker): Promise<number> {
  const { user, system } = await worker.cpuUsage().catch(() => ({ user: 0, system: 0 }));
  return (user + system) / 1_000;
}

function badManifest(found: Exclude<ParseResult, ParsedManifest>['violations']): Refusal {
  const violations = found.map(({ document, line, message }) => ({
    field: `manifest.documents[${document}]`,
    description: `document ${document}, line ${line}: ${message}`,
  }));
  const message = `manifest: ${violations[0]?.description}${andMore(violations)}`;
  return new Refusal('invalid_argument', message, { reason: 'BAD_MANIFEST', violations });
}

function tooSlow(limitMs: number): Refusal {
  return new Refusal('invalid_argument', `manifest: could not be read within ${limitMs / 1000} s of CPU time`, {
    field: 'manifest',
    reason: 'BAD_MANIFEST',
  });
}

function starved(): Refusal {
  return new Refusal('unavailable', 'the broker is too busy to read the manifest: try again later');
}

function outOfMemory(cause: Error): Refusal {
  return new Refusal('invalid_argument', 'manifest: takes too much memory to read', {
    field: 'manifest',
    reason: 'BAD_MANIFEST',
    cause,
  });
}
