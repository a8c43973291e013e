/** A piece of work that waits for a thread. */
export interface Queued {
  /** Whose it is: the queue is fair between callers. */
  readonly caller: string;
  readonly bytes: number;
}

export interface ParseQueue<Job extends Queued> {
  /** Adds a job; false when the queue has no room for it. */
  add(job: Job): boolean;
  /** Takes the job whose turn it is among those that `fits` accepts; undefined when there is none. */
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

/** Every job costs this much besides its bytes, so that a flood of tiny ones is no way around the order. */
const jobBytes = 4 << 10;

/**
 * Orders work fairly between callers by size (start-time fair queueing): a caller's next job starts, on a virtual clock, when the bytes of
 * his earlier ones are done, so a small job of one caller passes the large ones that another has waiting. Bounded in jobs and bytes,
 * and for one caller to half of the bytes.
 */
export function createParseQueue<Job extends Queued>(limits: QueueLimits): ParseQueue<Job> {
  const waiting: { readonly job: Job; readonly finish: number }[] = [];
  /** When, on the virtual clock, the last job of each caller that waits or has just run is done. */
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
      // A caller whose work is done on the virtual clock has no debt to remember.
      for (const [caller, at] of finishes) if (at <= clock) finishes.delete(caller);
      return job;
    },
    remove(job) {
      const index = waiting.findIndex((each) => each.job === job);
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
