/** The state of an object that runs to an end; `cut off` means that it was deleted before that. */
export type RunOutcome = 'begun' | 'succeeded' | 'failed' | 'cut off';

/** The run of a Job, a Pod, or another object that goes by itself after its end. It outlives the object. */
export interface Run {
  /** Uid of the object. */
  readonly uid: string;
  /** Checksum of what was applied. */
  readonly checksum: string;
  readonly outcome: RunOutcome;
  /** True when the object itself asks to be removed once it has ended. */
  readonly expires: boolean;
}

/** Returns whether the run is over and its outcome known. */
export function hasEnded(run: Run | undefined): boolean {
  return run?.outcome === 'succeeded' || run?.outcome === 'failed';
}
