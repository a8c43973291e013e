import { setTimeout as delay } from 'node:timers/promises';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { timestampFromMs, timestampMs } from '@bufbuild/protobuf/wkt';
import type { Fleet, FleetMember, WatchFleetResponse } from '../../gen/brokkr/v1/fleet_pb.ts';
import type { Placement } from '../../gen/brokkr/v1/placement_pb.ts';
import type { Stack, WatchStackResponse } from '../../gen/brokkr/v1/stack_pb.ts';
import type { TailStackRequestSchema, TelemetryRecord } from '../../gen/brokkr/v1/telemetry_pb.ts';
import { isUnavailable, maxAttempts } from '../session/retry.ts';
import type { Session } from '../session/session.ts';

/** A stack and its placements, accumulated from a watch. */
export interface FollowedStack {
  readonly stack: Stack | undefined;
  /** By the agent's id. */
  readonly placements: ReadonlyMap<string, Placement>;
  /** The last message; after a reconnect it contains everything again. */
  readonly update: WatchStackResponse;
}

/** The fleet, accumulated from a watch. */
export interface FollowedFleet {
  readonly fleet: Fleet | undefined;
  /** By the agent's id. */
  readonly members: ReadonlyMap<string, FleetMember>;
  /** The last message; after a reconnect it contains everything again. */
  readonly update: WatchFleetResponse;
}

export interface FollowOptions {
  /** Ends the stream. Without a signal, a broker that cannot be reached from the start is an error after a few attempts. */
  readonly signal?: AbortSignal;
  /** Called at each lost connection, before reconnecting. */
  readonly onDisconnect?: () => void;
}

/**
 * Follows a stack until it is deleted or the signal aborts, across lost connections and restarts of the broker. After a reconnect the
 * state starts afresh.
 */
export function followStack(
  { broker }: Pick<Session, 'broker'>,
  stackId: string,
  options: FollowOptions,
): AsyncGenerator<FollowedStack> {
  const { signal } = options;
  return withReconnect(async function* () {
    let stack: Stack | undefined;
    const placements = new Map<string, Placement>();
    for await (const update of broker.watchStack({ stack: stackId }, { signal })) {
      stack = update.stack ?? stack;
      for (const placement of update.placements) placements.set(placement.agentId, placement);
      for (const agentId of update.goneAgentIds) placements.delete(agentId);
      yield { stack, placements, update };
    }
  }, options);
}

/** Follows the fleet until the signal aborts; otherwise like `followStack`. */
export function followFleet({ admin }: Pick<Session, 'admin'>, options: FollowOptions): AsyncGenerator<FollowedFleet> {
  const { signal } = options;
  return withReconnect(async function* () {
    let fleet: Fleet | undefined;
    const members = new Map<string, FleetMember>();
    for await (const update of admin.watchFleet({}, { signal })) {
      fleet = update.fleet ?? fleet;
      for (const member of update.members) members.set(member.agent!.id, member);
      for (const agentId of update.goneAgentIds) members.delete(agentId);
      yield { fleet, members, update };
    }
  }, options);
}

/** Period before the last record that is requested again after a reconnect: records may arrive out of order within it. */
const overlapMs = 10_000;
const maxSeenIds = 20_000;
const maxHistory = 5_000;

/**
 * Follows a stack's telemetry until the stack is deleted or the signal aborts. Records that arrived during a lost connection follow
 * after the reconnect, each once. A keepalive of the broker yields no records.
 */
export function followTelemetry(
  { broker }: Pick<Session, 'broker'>,
  request: MessageInitShape<typeof TailStackRequestSchema>,
  options: FollowOptions,
): AsyncGenerator<readonly TelemetryRecord[]> {
  const { signal } = options;
  const seenIds = new Set<bigint>();
  let nextRequest = request;
  /** Older records were excluded from the requested history. */
  let oldestId: bigint | undefined;
  return withReconnect(async function* () {
    for await (const { records } of broker.tailStack(nextRequest, { signal })) {
      const newRecords = records.filter(({ id }) => id === 0n || (id >= (oldestId ?? 0n) && !seenIds.has(id)));
      for (const { id, receiveTime } of newRecords) {
        if (!receiveTime) continue;
        seenIds.add(id);
        oldestId ??= id;
        nextRequest = {
          ...request,
          startTime: timestampFromMs(timestampMs(receiveTime) - overlapMs),
          historySize: maxHistory,
        };
      }
      for (const id of seenIds) {
        if (seenIds.size <= maxSeenIds) break;
        seenIds.delete(id);
      }
      yield newRecords;
    }
  }, options);
}

/** Note to the user when a connection is lost. */
export const reconnectingMessage = 'lost the connection to the broker; reconnecting…';

const reconnectDelayMs = 500;

/** Restarts a stream whenever it fails because the broker is unavailable. */
async function* withReconnect<T>(
  openStream: () => AsyncIterable<T>,
  { signal, onDisconnect }: FollowOptions,
): AsyncGenerator<T> {
  let hasConnected = false;
  /** Failures since the last message. */
  let failures = 0;
  for (;;) {
    try {
      for await (const update of openStream()) {
        hasConnected = true;
        failures = 0;
        yield update;
      }
      return;
    } catch (error) {
      if (!isUnavailable(error, signal)) throw error;
      failures += 1;
      if (!hasConnected && !signal && failures === maxAttempts) throw error;
      if (hasConnected && failures === 1) onDisconnect?.();
    }
    await delay(reconnectDelayMs * (0.5 + Math.random()), undefined, { signal });
  }
}
