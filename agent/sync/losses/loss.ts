import { sleep } from '../../concurrency/backoff.ts';
import { ClusterError } from '../../kube/api-error.ts';

/** Objects that nobody submitted and that a deletion would take along. */
export interface Loss {
  /** `awaited` when another removal is about to take it away, so that nobody has to be asked. */
  readonly kind: 'held' | 'awaited';
  readonly reason: string;
}

/** The other objects of the same deletion, for the question which objects go with one of them. */
export interface Deleted {
  /** Keys of the objects that are deleted together. */
  readonly keys: ReadonlySet<string>;
  /** API versions that are taken out of the API before anything else is deleted. */
  readonly apis: ReadonlySet<string>;
  /** Returns the name of the other stack that is being removed, and has this object, by key. */
  readonly removedWith: (key: string) => string | undefined;
}

const looks = 3;
const betweenLooksMs = 700;

/** Says that something could not be looked at. */
export function unseen(reason: string): string {
  return `it cannot be seen what would go with it: ${reason}`;
}

/**
 * Looks, and looks again when the API server has no answer or answers that it does not know the kind, which often is so for a moment
 * only. Returns what it answers at last. Throws anything but a refusal.
 */
export async function lookAgain<Found>(
  look: () => Promise<Found>,
  signal: AbortSignal,
): Promise<{ readonly found: Found } | { readonly refusal: ClusterError }> {
  for (let count = 1; ; count++) {
    try {
      return { found: await look() };
    } catch (error) {
      if (!(error instanceof ClusterError) || error.status === 0) throw error;
      if (count === looks || !(error.status === 404 || error.status >= 500)) return { refusal: error };
      await sleep(betweenLooksMs, signal);
    }
  }
}
