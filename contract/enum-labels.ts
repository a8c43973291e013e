import { Outcome } from '../gen/brokkr/v1/event_pb.ts';
import { AgentState } from '../gen/brokkr/v1/fleet_pb.ts';
import { RegistrationState } from '../gen/brokkr/v1/generator_pb.ts';
import { Health } from '../gen/brokkr/v1/health_pb.ts';
import { ObjectAction } from '../gen/brokkr/v1/object_pb.ts';
import { Role } from '../gen/brokkr/v1/options_pb.ts';
import { MatchKind, type MatchReason, PlacementPhase } from '../gen/brokkr/v1/placement_pb.ts';
import { GapReason } from '../gen/brokkr/v1/telemetry_pb.ts';

/** The word for each value of an enum, as the CLI takes and prints it; the console starts from the same words. */
export type Labels<Value extends number> = Readonly<Record<Value, string>>;

const unknown = 'unknown';

export const phaseLabels: Labels<PlacementPhase> = {
  [PlacementPhase.UNSPECIFIED]: unknown,
  [PlacementPhase.PENDING]: 'pending',
  [PlacementPhase.APPLIED]: 'applied',
  [PlacementPhase.FAILED]: 'failed',
  [PlacementPhase.REMOVING]: 'removing',
  [PlacementPhase.HELD]: 'held',
  [PlacementPhase.AHEAD]: 'ahead',
};

export const agentStateLabels: Labels<AgentState> = {
  [AgentState.UNSPECIFIED]: unknown,
  [AgentState.ONLINE]: 'online',
  [AgentState.OFFLINE]: 'offline',
  [AgentState.PAUSED]: 'paused',
  [AgentState.NEVER_STARTED]: 'never-started',
  [AgentState.DRAINING]: 'draining',
};

/** Unspecified is the health of what no agent has reported about: it has no word. */
export const healthLabels: Labels<Health> = {
  [Health.UNSPECIFIED]: '',
  [Health.HEALTHY]: 'healthy',
  [Health.PROGRESSING]: 'progressing',
  [Health.DEGRADED]: 'degraded',
  [Health.FAILED]: 'failed',
  [Health.UNKNOWN]: unknown,
};

export const outcomeLabels: Labels<Outcome> = {
  [Outcome.UNSPECIFIED]: unknown,
  [Outcome.APPLIED]: 'applied',
  [Outcome.FAILED]: 'failed',
  [Outcome.REMOVED]: 'removed',
  [Outcome.REMOVAL_FAILED]: 'removal-failed',
  [Outcome.HELD]: 'held',
  [Outcome.AHEAD]: 'ahead',
  [Outcome.GAP]: 'gap',
  [Outcome.DRIFTED]: 'drifted',
  [Outcome.REPAIRED]: 'repaired',
  [Outcome.WAITING]: 'waiting',
};

export const actionLabels: Labels<ObjectAction> = {
  [ObjectAction.UNSPECIFIED]: unknown,
  [ObjectAction.CREATED]: 'created',
  [ObjectAction.CONFIGURED]: 'configured',
  [ObjectAction.UNCHANGED]: 'unchanged',
  [ObjectAction.DELETED]: 'deleted',
  [ObjectAction.FAILED]: 'failed',
  [ObjectAction.HELD]: 'held',
};

export const registrationStateLabels: Labels<RegistrationState> = {
  [RegistrationState.UNSPECIFIED]: unknown,
  [RegistrationState.REGISTERED]: 'registered',
  [RegistrationState.REQUESTED]: 'requested',
};

export const roleLabels: Labels<Role> = {
  [Role.UNSPECIFIED]: unknown,
  [Role.ADMIN]: 'admin',
  [Role.READ_ONLY]: 'read-only admin',
  [Role.GENERATOR]: 'generator',
  [Role.AGENT]: 'agent',
  [Role.ENROLLMENT]: 'enrollment',
};

/** Reasons for missing telemetry, as the end of a sentence such as "12 lines are missing: ...". */
export const gapReasonLabels: Labels<GapReason> = {
  [GapReason.UNSPECIFIED]: 'the reason is unknown',
  [GapReason.RATE_LIMIT]: 'the agent exceeded its rate limit',
  [GapReason.BUFFER_FULL]: 'the agent could not reach the broker and its buffer was full',
  [GapReason.STREAM_LIMIT]: 'the agent follows its maximum number of containers',
  [GapReason.HISTORY_LOST]: 'the agent was away for longer than the cluster keeps its history',
  [GapReason.NOT_FOLLOWED]: 'written before the agent followed the container',
  [GapReason.QUOTA]: 'the agent exceeded the broker’s quota',
  [GapReason.SLOW_READER]: 'the reader could not keep up',
};

const matchKindLabels: Labels<MatchKind> = {
  [MatchKind.UNSPECIFIED]: unknown,
  [MatchKind.TARGET]: 'target',
  [MatchKind.LABEL]: 'label',
  [MatchKind.ANNOTATION]: 'annotation',
  [MatchKind.SELECTOR]: 'selector',
};

/** Returns the label of a value; the number itself for one that this version does not know. */
export function labelOf(labels: Readonly<Record<number, string>>, value: number): string {
  return labels[value] ?? String(value);
}

/** Says why an agent serves a stack: "label prod, annotation zone=eu". */
export function matchReasonsText(reasons: readonly MatchReason[]): string {
  return reasons.map(({ kind, detail }) => `${labelOf(matchKindLabels, kind)} ${detail}`.trim()).join(', ');
}
