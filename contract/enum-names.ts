import { Outcome } from '../gen/brokkr/v1/event_pb.ts';
import { Health } from '../gen/brokkr/v1/health_pb.ts';
import { ObjectAction } from '../gen/brokkr/v1/object_pb.ts';
import { PlacementState } from '../gen/brokkr/v1/placement_pb.ts';
import { ConflictPolicy, DriftPolicy, OnDelete } from '../gen/brokkr/v1/stack_pb.ts';
import { GapReason } from '../gen/brokkr/v1/telemetry_pb.ts';

/** Names of enum values in the database, in the agent and in options of the CLI, with the values that they have on the wire. */
export const placementStates = { active: PlacementState.ACTIVE, removing: PlacementState.REMOVING } as const;

export const onDeletes = { prune: OnDelete.PRUNE, orphan: OnDelete.ORPHAN } as const;

export const driftPolicies = {
  repair: DriftPolicy.REPAIR,
  report: DriftPolicy.REPORT,
  ignore: DriftPolicy.IGNORE,
} as const;

export const conflictPolicies = { adopt: ConflictPolicy.ADOPT, refuse: ConflictPolicy.REFUSE } as const;

/** In order of severity: each one is worse than those before it. */
export const healths = {
  healthy: Health.HEALTHY,
  progressing: Health.PROGRESSING,
  degraded: Health.DEGRADED,
  failed: Health.FAILED,
  unknown: Health.UNKNOWN,
} as const;

export const outcomes = {
  applied: Outcome.APPLIED,
  failed: Outcome.FAILED,
  removed: Outcome.REMOVED,
  removal_failed: Outcome.REMOVAL_FAILED,
  held: Outcome.HELD,
  ahead: Outcome.AHEAD,
  gap: Outcome.GAP,
  drifted: Outcome.DRIFTED,
  repaired: Outcome.REPAIRED,
  waiting: Outcome.WAITING,
} as const;

export const objectActions = {
  created: ObjectAction.CREATED,
  configured: ObjectAction.CONFIGURED,
  deleted: ObjectAction.DELETED,
  failed: ObjectAction.FAILED,
  held: ObjectAction.HELD,
} as const;

export const gapReasons = {
  rate_limit: GapReason.RATE_LIMIT,
  buffer_full: GapReason.BUFFER_FULL,
  stream_limit: GapReason.STREAM_LIMIT,
  history_lost: GapReason.HISTORY_LOST,
  not_followed: GapReason.NOT_FOLLOWED,
  quota: GapReason.QUOTA,
  slow_reader: GapReason.SLOW_READER,
} as const;

/** Returns the name of a value; undefined for one that the table does not have, such as a newer peer's. */
export function enumName<Name extends string>(values: Readonly<Record<Name, number>>, value: number): Name | undefined {
  return (Object.keys(values) as Name[]).find((name) => values[name] === value);
}
