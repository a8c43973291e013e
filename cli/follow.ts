import { setTimeout as pause } from 'node:timers/promises';
import type { Placement } from '../gen/brokkr/v1/placement_pb.ts';
import type { Stack, WatchStackResponse } from '../gen/brokkr/v1/stack_pb.ts';
import { isUnanswered } from './retry.ts';
import type { Session } from './session.ts';

/** A stack and its placements as a watch has told them so far. */
export interface Followed {
  readonly stack: Stack | undefined;
  readonly placements: ReadonlyMap<string, Placement>;
  /** What came last: after a break, everything again. */
  readonly news: WatchStackResponse;
}

const againAfterMs = 500;

/**
 * Follows a stack until it is gone or the signal ends it, over broken connections and restarts of the broker. After a break the
 * state begins anew.
 */
export async function* followStack(
  { broker }: Pick<Session, 'broker'>,
  stackId: string,
  signal?: AbortSignal,
): AsyncGenerator<Followed> {
  for (;;) {
    let stack: Stack | undefined;
    const placements = new Map<string, Placement>();
    try {
      for await (const news of broker.watchStack({ stack: stackId }, { signal })) {
        stack = news.stack ?? stack;
        for (const placement of news.placements) placements.set(placement.agentId, placement);
        for (const agentId of news.goneAgentIds) placements.delete(agentId);
        yield { stack, placements, news };
      }
      return;
    } catch (error) {
      if (!isUnanswered(error, signal)) throw error;
    }
    await pause(againAfterMs * (0.5 + Math.random()), undefined, { signal });
  }
}
