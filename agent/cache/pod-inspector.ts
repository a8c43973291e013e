import type { Logger } from 'pino';
import { type Backoff, jittered } from '../concurrency/backoff.ts';
import { createWorkQueue } from '../concurrency/work-queue.ts';
import { explainHealth } from '../health/pod-diagnosis.ts';
import type { Verdict } from '../health/status.ts';
import { errorMessage } from '../kube/api-error.ts';
import type { Cluster } from '../kube/cluster.ts';
import type { ObjectId } from '../object/kube-object.ts';

export interface PodInspectorOptions {
  readonly cluster: Cluster;
  readonly log: Logger;
  /** Delays between two inspections of the same object. */
  readonly backoff: Backoff;
  /** Returns the object to inspect; undefined when it is no longer desired. */
  readonly find: (stackId: string, key: string) => ObjectId | undefined;
  /** Called when the reason for a stack's health has changed. */
  readonly changed: (stackId: string) => void;
}

/** Finds out why objects are unhealthy by asking for their pods, again and again until they are healthy. */
export interface PodInspector {
  /** Inspects this generation of an object soon, and from then on; what was found about an earlier one is dropped. */
  inspect(stackId: string, key: string, generation: number): void;
  /** Stops inspecting an object. */
  end(key: string): void;
  /** Results of the last inspections, by object key. */
  readonly details: ReadonlyMap<string, Verdict>;
  close(): Promise<void>;
}

interface Inspection {
  readonly stackId: string;
  readonly generation: number;
  /** Number of inspections since the object was last seen. */
  attempts: number;
}

const concurrency = 4;
/** Milliseconds between two inspections of an object for each unhealthy object, so that many are inspected less often. */
const shareMs = 250;
/** Milliseconds in which changes of an object gather before it is inspected. */
const gatherMs = 200;

export function createPodInspector({ cluster, log, backoff, find, changed }: PodInspectorOptions): PodInspector {
  const details = new Map<string, Verdict>();
  const inspections = new Map<string, Inspection>();
  const ending = new AbortController();
  const queue = createWorkQueue({
    capacity: concurrency,
    backoff,
    failed: (_key, error) => log.debug({ reason: errorMessage(error) }, 'the pods of an object could not be asked for'),
  });
  const end = (key: string) => {
    inspections.delete(key);
    details.delete(key);
    queue.forget(key);
  };
  queue.start(async (key) => {
    const inspection = inspections.get(key);
    if (!inspection) return;
    const object = find(inspection.stackId, key);
    if (!object) return end(key);
    const verdict = await explainHealth(cluster, object, ending.signal);
    if (inspections.get(key) !== inspection) return;
    if (store(details, key, verdict)) changed(inspection.stackId);
    queue.forget(key);
    const waitMs = backoff.baseMs / 2 + jittered(backoff, inspection.attempts++);
    queue.addAfter(key, Math.max(waitMs, inspections.size * shareMs));
  });

  return {
    inspect(stackId, key, generation) {
      const before = inspections.get(key);
      const isSame = before?.generation === generation;
      if (!isSame) details.delete(key);
      const inspection = isSame ? before : { stackId, generation, attempts: 0 };
      inspections.set(key, inspection);
      inspection.attempts = 0;
      queue.addAfter(key, gatherMs);
    },
    end,
    details,
    async close() {
      ending.abort(new Error('the agent stops'));
      await queue.close();
      inspections.clear();
      details.clear();
    },
  };
}

/** Returns whether the verdict is another than before. */
function store(details: Map<string, Verdict>, key: string, verdict: Verdict | undefined): boolean {
  const before = details.get(key);
  if (verdict) details.set(key, verdict);
  else details.delete(key);
  return before?.health !== verdict?.health || before?.message !== verdict?.message;
}
