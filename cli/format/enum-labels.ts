import { type Timestamp, timestampMs } from '@bufbuild/protobuf/wkt';
import { Outcome } from '../../gen/brokkr/v1/event_pb.ts';
import { AgentState } from '../../gen/brokkr/v1/fleet_pb.ts';
import { RegistrationPolicy, RegistrationState } from '../../gen/brokkr/v1/generator_pb.ts';
import { ObjectAction, type ObjectRef } from '../../gen/brokkr/v1/object_pb.ts';
import { Role } from '../../gen/brokkr/v1/options_pb.ts';
import { MatchKind, type MatchReason, type PlacementCounts, PlacementPhase } from '../../gen/brokkr/v1/placement_pb.ts';
import { ConflictPolicy, DriftPolicy, OnDelete } from '../../gen/brokkr/v1/stack_pb.ts';
import type { Tone } from '../output/output.ts';
import { shortDuration } from './duration.ts';

/** How a value of the contract is said; `wordOf` reads these tables, which a newer broker's values are not in. */
export interface StyledLabel {
  readonly text: string;
  readonly tone?: Tone;
  /** One character for it, in lists of changes. */
  readonly symbol?: string;
}

export const styledPhases: Readonly<Record<PlacementPhase, StyledLabel>> = {
  [PlacementPhase.UNSPECIFIED]: { text: 'unknown' },
  [PlacementPhase.PENDING]: { text: 'pending', tone: 'warn' },
  [PlacementPhase.APPLIED]: { text: 'applied', tone: 'good' },
  [PlacementPhase.FAILED]: { text: 'failed', tone: 'bad' },
  [PlacementPhase.REMOVING]: { text: 'removing', tone: 'warn' },
  [PlacementPhase.HELD]: { text: 'held', tone: 'bad' },
  [PlacementPhase.AHEAD]: { text: 'ahead', tone: 'bad' },
};

export const styledOutcomes: Readonly<Record<Outcome, StyledLabel>> = {
  [Outcome.UNSPECIFIED]: { text: 'unknown' },
  [Outcome.APPLIED]: { text: 'applied', tone: 'good' },
  [Outcome.FAILED]: { text: 'failed', tone: 'bad' },
  [Outcome.REMOVED]: { text: 'removed', tone: 'good' },
  [Outcome.REMOVAL_FAILED]: { text: 'removal-failed', tone: 'bad' },
  [Outcome.HELD]: { text: 'held', tone: 'bad' },
  [Outcome.AHEAD]: { text: 'ahead', tone: 'bad' },
  [Outcome.GAP]: { text: 'gap', tone: 'warn' },
  [Outcome.DRIFTED]: { text: 'drifted', tone: 'warn' },
  [Outcome.REPAIRED]: { text: 'repaired', tone: 'warn' },
  [Outcome.WAITING]: { text: 'waiting', tone: 'warn' },
};

export const styledActions: Readonly<Record<ObjectAction, StyledLabel>> = {
  [ObjectAction.UNSPECIFIED]: { text: 'unknown', symbol: '?' },
  [ObjectAction.CREATED]: { text: 'created', symbol: '+', tone: 'good' },
  [ObjectAction.CONFIGURED]: { text: 'configured', symbol: '~', tone: 'warn' },
  [ObjectAction.UNCHANGED]: { text: 'unchanged', symbol: '=' },
  [ObjectAction.DELETED]: { text: 'deleted', symbol: '-', tone: 'bad' },
  [ObjectAction.FAILED]: { text: 'failed', symbol: '!', tone: 'bad' },
  [ObjectAction.HELD]: { text: 'held', symbol: '!', tone: 'bad' },
};

export const roleLabels: Readonly<Record<Role, StyledLabel>> = {
  [Role.UNSPECIFIED]: { text: 'unknown' },
  [Role.ADMIN]: { text: 'admin' },
  [Role.READ_ONLY]: { text: 'read-only admin' },
  [Role.GENERATOR]: { text: 'generator' },
  [Role.AGENT]: { text: 'agent' },
  [Role.ENROLLMENT]: { text: 'enrollment' },
};

export const registrationPolicies = {
  open: RegistrationPolicy.OPEN,
  approve: RegistrationPolicy.APPROVE,
} as const;

export const onDeletes = {
  prune: OnDelete.PRUNE,
  orphan: OnDelete.ORPHAN,
} as const;

export const driftPolicies = {
  repair: DriftPolicy.REPAIR,
  report: DriftPolicy.REPORT,
  ignore: DriftPolicy.IGNORE,
} as const;

export const conflictPolicies = {
  adopt: ConflictPolicy.ADOPT,
  refuse: ConflictPolicy.REFUSE,
} as const;

export const styledAgentStates: Readonly<Record<AgentState, StyledLabel>> = {
  [AgentState.UNSPECIFIED]: { text: 'unknown' },
  [AgentState.ONLINE]: { text: 'online', tone: 'good' },
  [AgentState.OFFLINE]: { text: 'offline', tone: 'bad' },
  [AgentState.PAUSED]: { text: 'paused', tone: 'warn' },
  [AgentState.NEVER_STARTED]: { text: 'never-started', tone: 'warn' },
  [AgentState.DRAINING]: { text: 'draining', tone: 'warn' },
};

/** The name of a value in such a table; "-" for none. */
export function keyOfValue<V>(table: Readonly<Record<string, V>>, value: V): string {
  return Object.entries(table).find(([, candidate]) => candidate === value)?.[0] ?? '-';
}

/** The word for a value; a number for one that this version does not know. */
export function styledLabelOf(table: Readonly<Record<number, StyledLabel>>, value: number): StyledLabel {
  return table[value] ?? { text: String(value) };
}

/** The value of a table's text, as an option of `choices` gave it. */
export function valueOfLabel<V extends number>(
  table: Readonly<Record<V, StyledLabel>>,
  text: string | undefined,
): V | undefined {
  const found = Object.entries<StyledLabel>(table).find(([, candidate]) => candidate.text === text);
  return found === undefined ? undefined : (Number(found[0]) as V);
}

/** The words that `valueFor` knows, without the one for "unset". */
export function choicesOf(table: Readonly<Record<number, StyledLabel>>): string[] {
  return Object.values(table)
    .map(({ text }) => text)
    .filter((text) => text !== 'unknown');
}

export const styledRegistrationStates: Readonly<Record<RegistrationState, StyledLabel>> = {
  [RegistrationState.UNSPECIFIED]: { text: 'unknown' },
  [RegistrationState.REGISTERED]: { text: 'registered', tone: 'good' },
  [RegistrationState.REQUESTED]: { text: 'requested', tone: 'warn' },
};

const matchKindLabels: Readonly<Record<MatchKind, string>> = {
  [MatchKind.UNSPECIFIED]: 'unknown',
  [MatchKind.TARGET]: 'target',
  [MatchKind.LABEL]: 'label',
  [MatchKind.ANNOTATION]: 'annotation',
  [MatchKind.SELECTOR]: 'selector',
};

/** Why an agent serves a stack: "label prod, annotation zone=eu". */
export function matchReasonsText(reasons: readonly MatchReason[]): string {
  return reasons.map(({ kind, detail }) => `${matchKindLabels[kind] ?? kind} ${detail}`.trim()).join(', ');
}

/** "2 applied, 1 failed"; "none" without placements. */
export function placementCountsText(counts: PlacementCounts | undefined): string {
  const { applied = 0, pending = 0, failed = 0, held = 0, ahead = 0, removing = 0 } = counts ?? {};
  return joinCounts({ applied, pending, failed, held, ahead, removing }) || 'none';
}

/** "2 applied, 1 failed": of what there is any; empty when there is nothing. */
export function joinCounts(counts: Readonly<Record<string, number>>): string {
  const parts = Object.entries(counts).filter(([, count]) => count > 0);
  return parts.map(([text, count]) => `${count} ${text}`).join(', ');
}

/** What most needs a look. */
export function placementCountsTone(counts: PlacementCounts | undefined): Tone | undefined {
  if (!counts) return undefined;
  if (counts.failed + counts.held + counts.ahead > 0) return 'bad';
  if (counts.pending + counts.removing > 0) return 'warn';
  return counts.applied > 0 ? 'good' : undefined;
}

/** How long ago: "12m". Empty when it has not happened. */
export function ageText(time: Timestamp | undefined): string {
  return time === undefined ? '' : shortDuration(Date.now() - timestampMs(time));
}

/** "2026-01-31T12:00:00Z (5d ago)"; empty when it has not happened. */
export function timestampText(time: Timestamp | undefined): string {
  if (time === undefined) return '';
  const ms = timestampMs(time);
  const past = Date.now() - ms;
  const words = past >= 0 ? `${shortDuration(past)} ago` : `in ${shortDuration(-past)}`;
  return `${new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z')} (${words})`;
}

/** "Deployment.apps demo/web": kind and group, namespace and name. */
export function objectText(ref: ObjectRef | undefined): string {
  if (!ref) return '';
  const group = ref.apiVersion.includes('/') ? `.${ref.apiVersion.split('/')[0]}` : '';
  return `${ref.kind}${group} ${ref.namespace === '' ? '' : `${ref.namespace}/`}${ref.name}`;
}

/** "1 object", "3 objects". */
export function pluralize(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}
