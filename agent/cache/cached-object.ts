import type { Verdict } from '../health/status.ts';
import type { ObjectId } from '../object/kube-object.ts';
import type { Run } from '../object/run.ts';

/** A desired object as it was seen last. Its content is not kept, so that thousands cost little. */
export interface CachedObject {
  readonly id: ObjectId;
  /** Checksum of the desired object. */
  desired: string;
  /** Checksum of the live object; undefined while it does not exist. */
  checksum: string | undefined;
  uid: string;
  verdict: Verdict;
  /** The run of an object that runs to an end, as it was seen or recorded last. */
  run: Run | undefined;
  /** Fingerprint that the stack's last pass left. */
  expected: string;
  /** Fingerprint of the latest state that is known, whoever delivered it. */
  observed: string;
  /** Time at which that state became known; an answer to a later question is later. */
  observedAt: number;
  /** The last known resourceVersion, also of an object that is gone by now. */
  version: string | undefined;
}

/** Fingerprint of an object that does not exist. */
export const absent = '';
export const missing: Verdict = { health: 'progressing', message: 'it is not there' };

/** Creates the record of an object that nobody has looked for yet. */
export function unseen(id: ObjectId): CachedObject {
  return {
    id,
    desired: '',
    checksum: undefined,
    uid: '',
    verdict: missing,
    run: undefined,
    expected: absent,
    observed: absent,
    observedAt: Number.NEGATIVE_INFINITY,
    version: undefined,
  };
}
