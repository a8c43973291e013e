import { Worker } from 'node:worker_threads';
import { andMore, closingRefusal, Refusal } from '../refusal.ts';
import type { ParsedManifest, ParseResult } from './parse.ts';
import { createParseQueue, type Queued } from './parse-queue.ts';
import type { Difference } from './rules.ts';

/** Parses submissions in worker threads, so that a large or hostile one never stalls the calls of others. */
export interface Parser {
  /**
   * Parses a manifest and compares it with another. Rejects with INVALID_ARGUMENT naming each bad document and line, with
   * RESOURCE_EXHAUSTED when too much is waiting, and with the signal's reason when the caller has gone: his job goes with him.
   */
  parse(bytes: Uint8Array, options?: ParseOptions): Promise<ComparedManifest>;
  /** Counts the manifests that wait for a thread. */
  waiting(): number;
  close(): Promise<void>;
}

export interface ParseOptions {
  /** Another manifest in canonical form to compare with; by default an empty one. */
  readonly before?: Uint8Array | undefined;
  /** Whose work it is: threads are shared fairly between callers. */
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
}

export type ParseJobResult = ComparedManifest | Exclude<ParseResult, ParsedManifest>;

interface Job extends Queued {
  readonly work: ParseJob;
  readonly answer: PromiseWithResolvers<ParseJobResult>;
}

/** A thread, and its present job. */
interface Thread {
  readonly worker: Worker;
  /** Takes only small jobs, so that large ones of others never hold them up. */
  readonly small: boolean;
  job: Job | undefined;
  timer: NodeJS.Timeout | undefined;
}

/** CPU time that one manifest may take. */
const defaultLimitMs = 20_000;
/** A machine that gives a thread less than a tenth of a core is too busy; the manifest is not to blame. */
const starvedFactor = 10;
const checkMs = 250;
const queueLimits = { jobs: 256, bytes: 128 << 20 };
const smallBytes = 256 << 10;
const heapMb = 512;

/**
 * Starts up to `count` threads on demand, and one more that only takes manifests of up to 256 KiB. A job that takes more CPU time
 * than the limit, or too much memory, is refused and its thread replaced.
 */
export function createParser(count: number, limitMs = defaultLimitMs): Parser {
  const queue = createParseQueue<Job>(queueLimits);
  const threads = new Set<Thread>();
  let closed = false;

  /** Finds a free thread, or starts one where another is allowed. */
  const idle = (small: boolean): Thread | undefined => {
    const kind = [...threads].filter((thread) => thread.small === small);
    const free = kind.find(({ job }) => job === undefined);
    return free ?? (kind.length < (small ? 1 : count) ? start(small) : undefined);
  };
  const isSmall = ({ bytes }: Job) => bytes <= smallBytes;

  const next = () => {
    while (!closed && queue.length > 0) {
      const thread = idle(false) ?? idle(true);
      const job = thread && queue.take(thread.small ? isSmall : undefined);
      if (!job) return;
      run(thread, job);
    }
  };

  const run = (thread: Thread, job: Job) => {
    thread.job = job;
    thread.worker.postMessage(job.work);
    void watch(thread, job);
  };

  /** Ends a job that has used up its CPU time, or that the machine has no time for. */
  const watch = async (thread: Thread, job: Job) => {
    const startedAt = Date.now();
    const before = await cpuMs(thread.worker);
    const check = async () => {
      const used = (await cpuMs(thread.worker)) - before;
      if (thread.job !== job) return;
      if (used > limitMs) return lose(thread, tooSlow(limitMs));
      if (Date.now() - startedAt > limitMs * starvedFactor) return lose(thread, starved());
      thread.timer = setTimeout(() => void check(), checkMs);
    };
    if (thread.job === job) thread.timer = setTimeout(() => void check(), checkMs);
  };

  /** Takes the job from a thread, which is then free. */
  const release = (thread: Thread): Job | undefined => {
    const { job } = thread;
    clearTimeout(thread.timer);
    thread.job = undefined;
    return job;
  };

  /** Gives up a thread, whether it works or idles. */
  const lose = (thread: Thread, why: unknown) => {
    threads.delete(thread);
    release(thread)?.answer.reject(why);
    void thread.worker.terminate();
    next();
  };

  const start = (small: boolean): Thread => {
    const worker = new Worker(new URL('./parse-worker.ts', import.meta.url), {
      resourceLimits: { maxOldGenerationSizeMb: heapMb },
    });
    worker.unref();
    const thread: Thread = { worker, small, job: undefined, timer: undefined };
    worker.on('message', (result: ParseJobResult) => {
      release(thread)?.answer.resolve(result);
      next();
    });
    worker.on('error', (error: NodeJS.ErrnoException) =>
      lose(thread, error.code === 'ERR_WORKER_OUT_OF_MEMORY' ? tooHeavy(error) : error),
    );
    worker.on('exit', () => lose(thread, closingRefusal()));
    threads.add(thread);
    return thread;
  };

  /** Takes the work of a caller who has gone out of the queue, or off its thread. */
  const abandon = (job: Job, why: unknown) => {
    if (queue.remove(job)) return job.answer.reject(why);
    const thread = [...threads].find((each) => each.job === job);
    if (thread) lose(thread, why);
  };

  return {
    async parse(bytes, { before = new Uint8Array(), caller = '', signal } = {}) {
      if (closed) throw closingRefusal();
      signal?.throwIfAborted();
      const answer = Promise.withResolvers<ParseJobResult>();
      const job: Job = { caller, bytes: bytes.length + before.length, work: { bytes, before }, answer };
      if (!queue.add(job)) throw new Refusal('resource_exhausted', 'too many submissions are waiting: try again later');
      const onAbort = () => abandon(job, signal?.reason);
      signal?.addEventListener('abort', onAbort, { once: true });
      next();
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

function tooHeavy(cause: Error): Refusal {
  return new Refusal('invalid_argument', 'manifest: takes too much memory to read', {
    field: 'manifest',
    reason: 'BAD_MANIFEST',
    cause,
  });
}
