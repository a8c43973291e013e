import { type Timestamp, timestampMs } from '@bufbuild/protobuf/wkt';
import {
  actionLabels,
  agentStateLabels,
  type Labels,
  outcomeLabels,
  phaseLabels,
  registrationStateLabels,
} from '../../contract/enum-labels.ts';
import { Outcome } from '../../gen/brokkr/v1/event_pb.ts';
import { AgentState } from '../../gen/brokkr/v1/fleet_pb.ts';
import { RegistrationPolicy, RegistrationState } from '../../gen/brokkr/v1/generator_pb.ts';
import { ObjectAction } from '../../gen/brokkr/v1/object_pb.ts';
import { type PlacementCounts, PlacementPhase } from '../../gen/brokkr/v1/placement_pb.ts';
import type { Tone } from '../output/output.ts';
import { shortDuration } from './duration.ts';

/** The label of a value, and how a terminal shows it. */
export interface Word {
  readonly word: string;
  readonly tone?: Tone;
  /** One character for it, in lists of changes. */
  readonly sign?: string;
}

type Words<Value extends number> = Readonly<Record<Value, Word>>;

export const phases = withStyle(phaseLabels, {
  [PlacementPhase.PENDING]: { tone: 'warn' },
  [PlacementPhase.APPLIED]: { tone: 'good' },
  [PlacementPhase.FAILED]: { tone: 'bad' },
  [PlacementPhase.REMOVING]: { tone: 'warn' },
  [PlacementPhase.HELD]: { tone: 'bad' },
  [PlacementPhase.AHEAD]: { tone: 'bad' },
});

export const outcomes = withStyle(outcomeLabels, {
  [Outcome.APPLIED]: { tone: 'good' },
  [Outcome.FAILED]: { tone: 'bad' },
  [Outcome.REMOVED]: { tone: 'good' },
  [Outcome.REMOVAL_FAILED]: { tone: 'bad' },
  [Outcome.HELD]: { tone: 'bad' },
  [Outcome.AHEAD]: { tone: 'bad' },
  [Outcome.GAP]: { tone: 'warn' },
  [Outcome.DRIFTED]: { tone: 'warn' },
  [Outcome.REPAIRED]: { tone: 'warn' },
  [Outcome.WAITING]: { tone: 'warn' },
});

export const actions = withStyle(actionLabels, {
  [ObjectAction.UNSPECIFIED]: { sign: '?' },
  [ObjectAction.CREATED]: { sign: '+', tone: 'good' },
  [ObjectAction.CONFIGURED]: { sign: '~', tone: 'warn' },
  [ObjectAction.UNCHANGED]: { sign: '=' },
  [ObjectAction.DELETED]: { sign: '-', tone: 'bad' },
  [ObjectAction.FAILED]: { sign: '!', tone: 'bad' },
  [ObjectAction.HELD]: { sign: '!', tone: 'bad' },
});

export const agentStates = withStyle(agentStateLabels, {
  [AgentState.ONLINE]: { tone: 'good' },
  [AgentState.OFFLINE]: { tone: 'bad' },
  [AgentState.PAUSED]: { tone: 'warn' },
  [AgentState.NEVER_STARTED]: { tone: 'warn' },
  [AgentState.DRAINING]: { tone: 'warn' },
});

export const registrationStates = withStyle(registrationStateLabels, {
  [RegistrationState.REGISTERED]: { tone: 'good' },
  [RegistrationState.REQUESTED]: { tone: 'warn' },
});

export const policies = {
  open: RegistrationPolicy.OPEN,
  approve: RegistrationPolicy.APPROVE,
} as const;

/** Adds to labels how a terminal shows them; a value without a style is shown plainly. */
export function withStyle<Value extends number>(
  labels: Labels<Value>,
  styles: Readonly<Partial<Record<Value, Omit<Word, 'word'>>>>,
): Words<Value> {
  const words = Object.entries<string>(labels).map(([value, word]) => [
    value,
    { word, ...styles[Number(value) as Value] },
  ]);
  return Object.fromEntries(words) as Words<Value>;
}

/** Returns the name of a value in a table of options; "-" for none. */
export function nameFor<V>(table: Readonly<Record<string, V>>, value: V): string {
  return Object.entries(table).find(([, candidate]) => candidate === value)?.[0] ?? '-';
}

/** Returns the word for a value; the number itself for one that this version does not know. */
export function wordOf(table: Readonly<Record<number, Word>>, value: number): Word {
  return table[value] ?? { word: String(value) };
}

/** Returns the value for a word that was given to an option with `choicesOf`. */
export function valueFor<V extends number>(table: Readonly<Record<V, Word>>, word: string | undefined): V | undefined {
  const entry = Object.entries<Word>(table).find(([, candidate]) => candidate.word === word);
  return entry === undefined ? undefined : (Number(entry[0]) as V);
}

/** Lists the words that `valueFor` knows, without the one for unspecified. */
export function choicesOf(table: Readonly<Record<number, Word>>): string[] {
  return Object.values(table)
    .map(({ word }) => word)
    .filter((word) => word !== 'unknown');
}

/** Lists the phases of placements: "2 applied, 1 failed"; "none" without placements. */
export function countsText(counts: PlacementCounts | undefined): string {
  const { applied = 0, pending = 0, failed = 0, held = 0, ahead = 0, removing = 0 } = counts ?? {};
  return tally({ applied, pending, failed, held, ahead, removing }) || 'none';
}

/** Lists the counts that are not zero: "2 applied, 1 failed"; empty when there is none. */
export function tally(counts: Readonly<Record<string, number>>): string {
  const parts = Object.entries(counts).filter(([, count]) => count > 0);
  return parts.map(([word, count]) => `${count} ${word}`).join(', ');
}

/** Returns the tone of the phase that needs attention most. */
export function countsTone(counts: PlacementCounts | undefined): Tone | undefined {
  if (!counts) return undefined;
  if (counts.failed + counts.held + counts.ahead > 0) return 'bad';
  if (counts.pending + counts.removing > 0) return 'warn';
  return counts.applied > 0 ? 'good' : undefined;
}

/** Says how long ago something happened: "12m". Empty for what has not happened. */
export function age(time: Timestamp | undefined): string {
  return time === undefined ? '' : shortDuration(Date.now() - timestampMs(time));
}

/** Says when something happened: "2026-01-31T12:00:00Z (5d ago)". Empty for what has not happened. */
export function moment(time: Timestamp | undefined): string {
  if (time === undefined) return '';
  const ms = timestampMs(time);
  const past = Date.now() - ms;
  const words = past >= 0 ? `${shortDuration(past)} ago` : `in ${shortDuration(-past)}`;
  return `${new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z')} (${words})`;
}

/** "1 object", "3 objects". */
export function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}
