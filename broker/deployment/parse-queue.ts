/** A job that waits for a thread. */
export interface Queued {
  /** Id of the caller: the queue is fair between callers. */
  readonly caller: string;
  readonly bytes: number;
}

export interface ParseQueue<Job extends Queued> {
  /** Adds a job; false when the queue has no room for it. */
  add(job: Job): boolean;
  /** Takes the next job among those that `fits` accepts; undefined when there is none. */
  take(fits?: (job: Job) => boolean): Job | undefined;
  /** Removes a job whose caller has gone; false when it is not waiting. */
  remove(job: Job): boolean;
  /** Removes all jobs. */
  drain(): Job[];
  readonly length: number;
}

export interface QueueLimits {
  readonly jobs: number;
  readonly bytes: number;
}

/** Cost of every job besides its bytes, so that a flood of tiny jobs cannot evade the order. */
const jobBytes = 4 << 10;

/**
 * Creates a queue that orders jobs fairly between callers, by size (start-time fair queueing). On a virtual clock, a caller's next job
 * starts when the bytes of its earlier ones are done, so a small job of one caller overtakes the large ones of another. The queue is
 * bounded in jobs and bytes; one caller gets at most half of the bytes.
 */
export function createParseQueue<Job extends Queued>(limits: QueueLimits): ParseQueue<Job> {
  const waiting: { readonly job: Job; readonly finish: number }[] = [];
  /** Virtual time at which each caller's last job is done. */
  const finishes = new Map<string, number>();
  let clock = 0;
  let bytes = 0;

  const removeAt = (index: number): Job => {
    const [taken] = waiting.splice(index, 1);
    bytes -= taken!.job.bytes;
    return taken!.job;
  };
  const bytesOf = (caller: string) =>
    waiting.reduce((sum, { job }) => (job.caller === caller ? sum + job.bytes : sum), 0);

  return {
    add(job) {
      if (waiting.length >= limits.jobs || bytes + job.bytes > limits.bytes) return false;
      if (waiting.length > 0 && bytesOf(job.caller) + job.bytes > limits.bytes / 2) return false;
      const finish = Math.max(clock, finishes.get(job.caller) ?? 0) + job.bytes + jobBytes;
      finishes.set(job.caller, finish);
      waiting.push({ job, finish });
      bytes += job.bytes;
      return true;
    },
    take(fits = () => true) {
      let first: number | undefined;
      for (const [index, { job, finish }] of waiting.entries())
        if (fits(job) && (first === undefined || finish < waiting[first]!.finish)) first = index;
      if (first === undefined) return undefined;
      const { finish } = waiting[first]!;
      const job = removeAt(first);
      clock = Math.max(clock, finish - job.bytes - jobBytes);
      // A caller whose jobs are done on the virtual clock starts afresh.
      for (const [caller, at] of finishes) if (at <= clock) finishes.delete(caller);
      return job;
    },
    remove(job) {
      const index = waiting.findIndex((entry) => entry.job === job);
      if (index < 0) return false;
      removeAt(index);
      return true;
    },
    drain() {
      bytes = 0;
      return waiting.splice(0).map(({ job }) => job);
    },
    get length() {
      return waiting.length;
    },
  };
}
