import { setTimeout as pause } from 'node:timers/promises';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { timestampFromMs, timestampMs } from '@bufbuild/protobuf/wkt';
import type { Fleet, FleetMember, WatchFleetResponse } from '../../gen/brokkr/v1/fleet_pb.ts';
import type { Placement } from '../../gen/brokkr/v1/placement_pb.ts';
import type { Stack, WatchStackResponse } from '../../gen/brokkr/v1/stack_pb.ts';
import type { TailStackRequestSchema, TelemetryRecord } from '../../gen/brokkr/v1/telemetry_pb.ts';
import { isUnavailable, maxAttempts } from '../session/retry.ts';
import type { Session } from '../session/session.ts';

/** A stack and its placements as a watch has told them so far. */
export interface FollowedStack {
  readonly stack: Stack | undefined;
  readonly placements: ReadonlyMap<string, Placement>;
  /** What came last: after a break, everything again. */
  readonly update: WatchStackResponse;
}

/** The fleet as a watch has told it so far. */
export interface FollowedFleet {
  readonly fleet: Fleet | undefined;
  /** By the agent's id. */
  readonly members: ReadonlyMap<string, FleetMember>;
  /** What came last: after a break, everything again. */
  readonly update: WatchFleetResponse;
}

export interface FollowOptions {
  /** Ends it. Without one, a broker that cannot be reached from the start is an error after a few tries. */
  readonly signal?: AbortSignal;
  /** Is told of each break: the connection is made again. */
  readonly onDisconnect?: () => void;
}

/**
 * Follows a stack until it is gone or the signal ends it, over onDisconnect connections and restarts of the broker. After a break the
 * state begins anew.
 */
export function followStack(
  { broker }: Pick<Session, 'broker'>,
  stackId: string,
  following: FollowOptions,
): AsyncGenerator<FollowedStack> {
  const { signal } = following;
  return withReconnect(async function* () {
    let stack: Stack | undefined;
    const placements = new Map<string, Placement>();
    for await (const update of broker.watchStack({ stack: stackId }, { signal })) {
      stack = update.stack ?? stack;
      for (const placement of update.placements) placements.set(placement.agentId, placement);
      for (const agentId of update.goneAgentIds) placements.delete(agentId);
      yield { stack, placements, update };
    }
  }, following);
}

/** Follows the fleet until the signal ends it; otherwise as `followStack`. */
export function followFleet(
  { admin }: Pick<Session, 'admin'>,
  following: FollowOptions,
): AsyncGenerator<FollowedFleet> {
  const { signal } = following;
  return withReconnect(async function* () {
    let fleet: Fleet | undefined;
    const members = new Map<string, FleetMember>();
    for await (const update of admin.watchFleet({}, { signal })) {
      fleet = update.fleet ?? fleet;
      for (const member of update.members) members.set(member.agent!.id, member);
      for (const agentId of update.goneAgentIds) members.delete(agentId);
      yield { fleet, members, update };
    }
  }, following);
}

/** What is asked for again after a break: what the broker got so long before the last that came may have come later than that. */
const overlapMs = 10_000;
const maxSeenIds = 20_000;
const maxHistory = 5_000;

/**
 * Follows a stack's telemetry until the stack is gone or the signal ends it; what has come during a break comes after it, once. There
 * may be nothing in a message: the broker lives.
 */
export function followTelemetry(
  { broker }: Pick<Session, 'broker'>,
  request: MessageInitShape<typeof TailStackRequestSchema>,
  following: FollowOptions,
): AsyncGenerator<readonly TelemetryRecord[]> {
  const { signal } = following;
  const told = new Set<bigint>();
  let from = request;
  /** What is older was left out of the history. */
  let oldest: bigint | undefined;
  return withReconnect(async function* () {
    for await (const { records } of broker.tailStack(from, { signal })) {
      const fresh = records.filter(({ id }) => id === 0n || (id >= (oldest ?? 0n) && !told.has(id)));
      for (const { id, receiveTime } of fresh) {
        if (!receiveTime) continue;
        told.add(id);
        oldest ??= id;
        from = {
          ...request,
          startTime: timestampFromMs(timestampMs(receiveTime) - overlapMs),
          historySize: maxHistory,
        };
      }
      for (const id of told) {
        if (told.size <= maxSeenIds) break;
        told.delete(id);
      }
      yield fresh;
    }
  }, following);
}

/** What people are told then. */
export const reconnectingMessage = 'the connection to the broker broke; reconnecting…';

const reconnectDelayMs = 500;

/** Begins again each time that it broke because the broker was away. */
async function* withReconnect<T>(
  follow: () => AsyncIterable<T>,
  { signal, onDisconnect }: FollowOptions,
): AsyncGenerator<T> {
  let reached = false;
  /** Since something came. */
  let breaks = 0;
  for (;;) {
    try {
      for await (const update of follow()) {
        reached = true;
        breaks = 0;
        yield update;
      }
      return;
    } catch (error) {
      if (!isUnavailable(error, signal)) throw error;
      breaks += 1;
      if (!reached && !signal && breaks === maxAttempts) throw error;
      if (reached && breaks === 1) onDisconnect?.();
    }
    await pause(reconnectDelayMs * (0.5 + Math.random()), undefined, { signal });
  }
}
