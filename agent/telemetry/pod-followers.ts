import { pause, retryMs } from '../concurrency/backoff.ts';
import { errorMessage } from '../kube/api-error.ts';
import { idOf, type KubeObject, keyOf } from '../object/kube-object.ts';
import { containersOf, type FollowContext, followContainer } from './follow-container.ts';
import type { StackFinder } from './stack-finder.ts';

/** Follows the logs of pods, each until it is told otherwise. */
export interface PodFollowers {
  /** Starts to follow a pod, or tells its follower that it has changed. */
  follow(pod: KubeObject): void;
  /** Ends the follower of the pod with this key, after `graceMs`. */
  unfollow(key: string, graceMs?: number): void;
  /** Ends the followers of all pods but those with these keys, after `graceMs`. */
  retain(keys: ReadonlySet<string>, graceMs: number): void;
  /** Resolves when all followers have ended, which the signal makes them do. */
  settled(): Promise<void>;
}

/** Milliseconds until a pod of no stack is checked again, because a stack may adopt its owner. */
const strayMs = 60_000;

interface FollowedPod {
  readonly uid: string;
  readonly end: AbortController;
  /** Resolves when the pod changes, and is replaced then. */
  change: PromiseWithResolvers<void>;
}

/** Creates followers that end with the signal. What pods wrote before `startedAt` (milliseconds since 1970) is skipped. */
export function createPodFollowers(
  stackFinder: StackFinder,
  context: FollowContext,
  startedAt: number,
  signal: AbortSignal,
): PodFollowers {
  const followed = new Map<string, FollowedPod>();
  const running = new Set<Promise<void>>();
  const unfollow = (key: string, graceMs = 0) => {
    const followedPod = followed.get(key);
    if (!followedPod) return;
    followed.delete(key);
    followedPod.change.resolve();
    setTimeout(() => followedPod.end.abort(new Error('the pod is gone')), graceMs).unref();
  };
  return {
    follow(pod) {
      const key = keyOf(idOf(pod));
      const uid = pod.metadata.uid ?? '';
      const known = followed.get(key);
      if (known?.uid === uid) {
        known.change.resolve();
        known.change = Promise.withResolvers();
        return;
      }
      if (known) unfollow(key);
      if (signal.aborted) return;
      const followedPod: FollowedPod = { uid, end: new AbortController(), change: Promise.withResolvers() };
      followed.set(key, followedPod);
      const ending = AbortSignal.any([signal, followedPod.end.signal]);
      const skipsHistory = Date.parse(String(pod.metadata.creationTimestamp)) < startedAt - 1_000;
      const done = followPod({ pod, followedPod, skipsHistory }, stackFinder, context, ending).finally(() =>
        running.delete(done),
      );
      running.add(done);
    },
    unfollow,
    retain(keys, graceMs) {
      for (const key of followed.keys()) if (!keys.has(key)) unfollow(key, graceMs);
    },
    async settled() {
      await Promise.all(running);
    },
  };
}

/** Follows the containers of one pod, as long as it belongs to a stack. Never rejects. */
async function followPod(
  { pod, followedPod, skipsHistory }: { pod: KubeObject; followedPod: FollowedPod; skipsHistory: boolean },
  stackFinder: StackFinder,
  context: FollowContext,
  signal: AbortSignal,
): Promise<void> {
  const id = idOf(pod);
  const { uid } = followedPod;
  const podChanged = () => followedPod.change.promise;
  for (let failures = 0; !signal.aborted; ) {
    try {
      const membership = await stackFinder.find(id, uid, signal);
      if (!membership) {
        await pause(strayMs, signal, podChanged());
        continue;
      }
      const live = await context.clusterFor(membership.stackId).get(id, signal);
      if (!live || live.metadata.uid !== uid) return;
      const followed = { pod: id, uid, membership, skipsHistory, podChanged };
      await Promise.all(
        containersOf(live).map((container) => followContainer({ ...followed, container }, context, signal)),
      );
      if (membership.isCurrent()) return;
    } catch (error) {
      if (signal.aborted) return;
      context.logDebug(errorMessage(error));
      await pause(retryMs(context.retry, failures++), signal);
    }
  }
}
