import type { Logger } from 'pino';
import { type Backoff, jittered } from '../concurrency/backoff.ts';
import { createSemaphore } from '../concurrency/semaphore.ts';
import { explainHealth } from '../health/pod-diagnosis.ts';
import type { Verdict } from '../health/status.ts';
import { errorMessage } from '../kube/api-error.ts';
import type { Cluster } from '../kube/client.ts';
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
  /** Inspects an object soon, and from then on. */
  inspect(stackId: string, key: string): void;
  /** Stops inspecting an object. */
  end(key: string): void;
  /** What was found out last, by object key. */
  readonly details: ReadonlyMap<string, Verdict>;
  close(): void;
}

interface Inspection {
  readonly stackId: string;
  timer: NodeJS.Timeout | undefined;
  attempt: number;
  isRunning: boolean;
  /** The object was seen again while its pods were being asked for. */
  isOutdated: boolean;
}

const concurrency = 4;
/** With many unhealthy objects, each is inspected less often. */
const shareMs = 250;
const gatherMs = 200;

export function createPodInspector(options: PodInspectorOptions): PodInspector {
  const { cluster, log, backoff, find, changed } = options;
  const details = new Map<string, Verdict>();
  const inspections = new Map<string, Inspection>();
  const limit = createSemaphore(concurrency);
  const ending = new AbortController();

  const end = (key: string) => {
    clearTimeout(inspections.get(key)?.timer);
    inspections.delete(key);
    details.delete(key);
  };
  const schedule = (key: string, inspection: Inspection, waitMs: number) => {
    if (ending.signal.aborted || inspection.timer) return;
    inspection.timer = setTimeout(() => {
      inspection.timer = undefined;
      void run(key, inspection);
    }, waitMs);
    inspection.timer.unref();
  };
  const run = async (key: string, inspection: Inspection) => {
    const object = find(inspection.stackId, key);
    if (!object) return end(key);
    inspection.isRunning = true;
    inspection.isOutdated = false;
    try {
      const verdict = await limit.run(() => explainHealth(cluster, object, ending.signal), ending.signal);
      if (inspections.get(key) === inspection && store(details, key, verdict)) changed(inspection.stackId);
    } catch (error) {
      if (ending.signal.aborted) return;
      log.debug({ reason: errorMessage(error) }, 'the pods of an object could not be asked for');
    } finally {
      inspection.isRunning = false;
    }
    if (inspections.get(key) !== inspection) return;
    const waitMs = Math.max(backoff.baseMs / 2 + jittered(backoff, inspection.attempt++), inspections.size * shareMs);
    schedule(key, inspection, inspection.isOutdated ? gatherMs : waitMs);
  };

  return {
    inspect(stackId, key) {
      const inspection = inspections.get(key) ?? newInspection(stackId);
      inspections.set(key, inspection);
      inspection.attempt = 0;
      if (inspection.isRunning) {
        inspection.isOutdated = true;
        return;
      }
      clearTimeout(inspection.timer);
      inspection.timer = undefined;
      schedule(key, inspection, gatherMs);
    },
    end,
    details,
    close() {
      ending.abort(new Error('the agent stops'));
      for (const key of [...inspections.keys()]) end(key);
    },
  };
}

/** Answers whether the verdict is another than before. */
function store(details: Map<string, Verdict>, key: string, verdict: Verdict | undefined): boolean {
  const before = details.get(key);
  if (verdict) details.set(key, verdict);
  else details.delete(key);
  return before?.health !== verdict?.health || before?.message !== verdict?.message;
}

function newInspection(stackId: string): Inspection {
  return { stackId, timer: undefined, attempt: 0, isRunning: false, isOutdated: false };
}
