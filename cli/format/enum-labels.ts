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
export interface Word {
  readonly word: string;
  readonly tone?: Tone;
  /** One character for it, in lists of changes. */
  readonly sign?: string;
}

export const phases: Readonly<Record<PlacementPhase, Word>> = {
  [PlacementPhase.UNSPECIFIED]: { word: 'unknown' },
  [PlacementPhase.PENDING]: { word: 'pending', tone: 'warn' },
  [PlacementPhase.APPLIED]: { word: 'applied', tone: 'good' },
  [PlacementPhase.FAILED]: { word: 'failed', tone: 'bad' },
  [PlacementPhase.REMOVING]: { word: 'removing', tone: 'warn' },
  [PlacementPhase.HELD]: { word: 'held', tone: 'bad' },
  [PlacementPhase.AHEAD]: { word: 'ahead', tone: 'bad' },
};

export const outcomes: Readonly<Record<Outcome, Word>> = {
  [Outcome.UNSPECIFIED]: { word: 'unknown' },
  [Outcome.APPLIED]: { word: 'applied', tone: 'good' },
  [Outcome.FAILED]: { word: 'failed', tone: 'bad' },
  [Outcome.REMOVED]: { word: 'removed', tone: 'good' },
  [Outcome.REMOVAL_FAILED]: { word: 'removal-failed', tone: 'bad' },
  [Outcome.HELD]: { word: 'held', tone: 'bad' },
  [Outcome.AHEAD]: { word: 'ahead', tone: 'bad' },
  [Outcome.GAP]: { word: 'gap', tone: 'warn' },
  [Outcome.DRIFTED]: { word: 'drifted', tone: 'warn' },
  [Outcome.REPAIRED]: { word: 'repaired', tone: 'warn' },
  [Outcome.WAITING]: { word: 'waiting', tone: 'warn' },
};

export const actions: Readonly<Record<ObjectAction, Word>> = {
  [ObjectAction.UNSPECIFIED]: { word: 'unknown', sign: '?' },
  [ObjectAction.CREATED]: { word: 'created', sign: '+', tone: 'good' },
  [ObjectAction.CONFIGURED]: { word: 'configured', sign: '~', tone: 'warn' },
  [ObjectAction.UNCHANGED]: { word: 'unchanged', sign: '=' },
  [ObjectAction.DELETED]: { word: 'deleted', sign: '-', tone: 'bad' },
  [ObjectAction.FAILED]: { word: 'failed', sign: '!', tone: 'bad' },
  [ObjectAction.HELD]: { word: 'held', sign: '!', tone: 'bad' },
};

export const roles: Readonly<Record<Role, Word>> = {
  [Role.UNSPECIFIED]: { word: 'unknown' },
  [Role.ADMIN]: { word: 'admin' },
  [Role.READ_ONLY]: { word: 'read-only admin' },
  [Role.GENERATOR]: { word: 'generator' },
  [Role.AGENT]: { word: 'agent' },
  [Role.ENROLLMENT]: { word: 'enrollment' },
};

export const policies = {
  open: RegistrationPolicy.OPEN,
  approve: RegistrationPolicy.APPROVE,
} as const;

export const onDeletes = {
  prune: OnDelete.PRUNE,
  orphan: OnDelete.ORPHAN,
} as const;

export const drifts = {
  repair: DriftPolicy.REPAIR,
  report: DriftPolicy.REPORT,
  ignore: DriftPolicy.IGNORE,
} as const;

export const conflicts = {
  adopt: ConflictPolicy.ADOPT,
  refuse: ConflictPolicy.REFUSE,
} as const;

export const agentStates: Readonly<Record<AgentState, Word>> = {
  [AgentState.UNSPECIFIED]: { word: 'unknown' },
  [AgentState.ONLINE]: { word: 'online', tone: 'good' },
  [AgentState.OFFLINE]: { word: 'offline', tone: 'bad' },
  [AgentState.PAUSED]: { word: 'paused', tone: 'warn' },
  [AgentState.NEVER_STARTED]: { word: 'never-started', tone: 'warn' },
  [AgentState.DRAINING]: { word: 'draining', tone: 'warn' },
};

/** The name of a value in such a table; "-" for none. */
export function nameFor<V>(table: Readonly<Record<string, V>>, value: V): string {
  return Object.entries(table).find(([, candidate]) => candidate === value)?.[0] ?? '-';
}

/** The word for a value; a number for one that this version does not know. */
export function wordOf(table: Readonly<Record<number, Word>>, value: number): Word {
  return table[value] ?? { word: String(value) };
}

/** The value of a table's word, as an option of `choices` gave it. */
export function valueFor<V extends number>(table: Readonly<Record<V, Word>>, word: string | undefined): V | undefined {
  const found = Object.entries<Word>(table).find(([, candidate]) => candidate.word === word);
  return found === undefined ? undefined : (Number(found[0]) as V);
}

/** The words that `valueFor` knows, without the one for "unset". */
export function choicesOf(table: Readonly<Record<number, Word>>): string[] {
  return Object.values(table)
    .map(({ word }) => word)
    .filter((word) => word !== 'unknown');
}

export const registrationStates: Readonly<Record<RegistrationState, Word>> = {
  [RegistrationState.UNSPECIFIED]: { word: 'unknown' },
  [RegistrationState.REGISTERED]: { word: 'registered', tone: 'good' },
  [RegistrationState.REQUESTED]: { word: 'requested', tone: 'warn' },
};

const matchKinds: Readonly<Record<MatchKind, string>> = {
  [MatchKind.UNSPECIFIED]: 'unknown',
  [MatchKind.TARGET]: 'target',
  [MatchKind.LABEL]: 'label',
  [MatchKind.ANNOTATION]: 'annotation',
  [MatchKind.SELECTOR]: 'selector',
};

/** Why an agent serves a stack: "label prod, annotation zone=eu". */
export function reasonsText(reasons: readonly MatchReason[]): string {
  return reasons.map(({ kind, detail }) => `${matchKinds[kind] ?? kind} ${detail}`.trim()).join(', ');
}

/** "2 applied, 1 failed"; "none" without placements. */
export function countsText(counts: PlacementCounts | undefined): string {
  const { applied = 0, pending = 0, failed = 0, held = 0, ahead = 0, removing = 0 } = counts ?? {};
  return tally({ applied, pending, failed, held, ahead, removing }) || 'none';
}

/** "2 applied, 1 failed": of what there is any; empty when there is nothing. */
export function tally(counts: Readonly<Record<string, number>>): string {
  const parts = Object.entries(counts).filter(([, count]) => count > 0);
  return parts.map(([word, count]) => `${count} ${word}`).join(', ');
}

/** What most needs a look. */
export function countsTone(counts: PlacementCounts | undefined): Tone | undefined {
  if (!counts) return undefined;
  if (counts.failed + counts.held + counts.ahead > 0) return 'bad';
  if (counts.pending + counts.removing > 0) return 'warn';
  return counts.applied > 0 ? 'good' : undefined;
}

/** How long ago: "12m". Empty when it has not happened. */
export function age(time: Timestamp | undefined): string {
  return time === undefined ? '' : shortDuration(Date.now() - timestampMs(time));
}

/** "2026-01-31T12:00:00Z (5d ago)"; empty when it has not happened. */
export function moment(time: Timestamp | undefined): string {
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
export function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}
