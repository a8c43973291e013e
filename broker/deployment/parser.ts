import { Worker } from 'node:worker_threads';
import { Refusal } from '../refusal.ts';
import type { ParsedManifest, ParseResult } from './parse.ts';

/** Parses submissions in worker threads, so that a large or hostile one never stalls the calls of others. */
export interface Parser {
  /** The parsed manifest, or INVALID_ARGUMENT naming each bad document and line. */
  parse(bytes: Uint8Array): Promise<ParsedManifest>;
  close(): Promise<void>;
}

interface Job {
  readonly bytes: Uint8Array;
  readonly done: (result: ParseResult) => void;
  readonly failed: (error: Error) => void;
}

const deadlineMs = 20_000;
const queueLength = 256;

/** Starts `count` workers on demand; a job that takes 20 s is refused and its worker replaced. */
export function createParser(count: number): Parser {
  const queue: Job[] = [];
  const idle: Worker[] = [];
  const all = new Set<Worker>();
  let closed = false;

  const next = () => {
    while (queue.length > 0) {
      const worker = idle.pop() ?? (all.size < count ? start() : undefined);
      if (!worker) return;
      run(worker, queue.shift() as Job);
    }
  };

  const start = () => {
    const worker = new Worker(new URL('./parse-worker.ts', import.meta.url), {
      resourceLimits: { maxOldGenerationSizeMb: 512 },
    });
    worker.unref();
    all.add(worker);
    return worker;
  };

  const run = (worker: Worker, job: Job) => {
    const finish = (act: () => void, reuse: boolean) => {
      clearTimeout(timer);
      worker.off('message', done).off('error', broken).off('exit', ended);
      if (reuse && !closed) idle.push(worker);
      else {
        all.delete(worker);
        void worker.terminate();
      }
      act();
      next();
    };
    const done = (result: ParseResult) => finish(() => job.done(result), true);
    const broken = (error: Error) => finish(() => job.failed(tooHeavy(error)), false);
    const ended = () => finish(() => job.failed(new Refusal('unavailable', 'the broker is closing')), false);
    const timer = setTimeout(() => finish(() => job.failed(tooSlow()), false), deadlineMs);
    worker.on('message', done).on('error', broken).on('exit', ended);
    worker.postMessage(job.bytes);
  };

  return {
    async parse(bytes) {
      if (closed || queue.length >= queueLength)
        throw new Refusal('exhausted', 'too many submissions are waiting: try again');
      const result = await new Promise<ParseResult>((done, failed) => {
        queue.push({ bytes, done, failed });
        next();
      });
      if (!('violations' in result)) return result;
      const violations = result.violations.map(({ document, line, message }) => ({
        field: `manifest.documents[${document}]`,
        description: `document ${document}, line ${line}: ${message}`,
      }));
      const [first] = violations;
      const more = violations.length > 1 ? ` (and ${violations.length - 1} more)` : '';
      throw new Refusal('invalid', `manifest: ${first?.description}${more}`, { reason: 'BAD_MANIFEST', violations });
    },
    async close() {
      closed = true;
      for (const job of queue.splice(0)) job.failed(new Refusal('unavailable', 'the broker is closing'));
      await Promise.all([...all].map((worker) => worker.terminate()));
    },
  };
}

function tooSlow(): Refusal {
  return new Refusal('invalid', `manifest: could not be read within ${deadlineMs / 1000} s`, {
    field: 'manifest',
    reason: 'BAD_MANIFEST',
  });
}

function tooHeavy(cause: Error): Refusal {
  return new Refusal('invalid', 'manifest: takes too much memory to read', {
    field: 'manifest',
    reason: 'BAD_MANIFEST',
    cause,
  });
}
