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
export interface StyledLabel {
  readonly text: string;
  readonly tone?: Tone;
  /** One character for it, in lists of changes. */
  readonly symbol?: string;
}

type StyledLabels<Value extends number> = Readonly<Record<Value, StyledLabel>>;

export const styledPhases = withStyle(phaseLabels, {
  [PlacementPhase.PENDING]: { tone: 'warn' },
  [PlacementPhase.APPLIED]: { tone: 'good' },
  [PlacementPhase.FAILED]: { tone: 'bad' },
  [PlacementPhase.REMOVING]: { tone: 'warn' },
  [PlacementPhase.HELD]: { tone: 'bad' },
  [PlacementPhase.AHEAD]: { tone: 'bad' },
});

export const styledOutcomes = withStyle(outcomeLabels, {
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

export const styledActions = withStyle(actionLabels, {
  [ObjectAction.UNSPECIFIED]: { symbol: '?' },
  [ObjectAction.CREATED]: { symbol: '+', tone: 'good' },
  [ObjectAction.CONFIGURED]: { symbol: '~', tone: 'warn' },
  [ObjectAction.UNCHANGED]: { symbol: '=' },
  [ObjectAction.DELETED]: { symbol: '-', tone: 'bad' },
  [ObjectAction.FAILED]: { symbol: '!', tone: 'bad' },
  [ObjectAction.HELD]: { symbol: '!', tone: 'bad' },
});

export const styledAgentStates = withStyle(agentStateLabels, {
  [AgentState.ONLINE]: { tone: 'good' },
  [AgentState.OFFLINE]: { tone: 'bad' },
  [AgentState.PAUSED]: { tone: 'warn' },
  [AgentState.NEVER_STARTED]: { tone: 'warn' },
  [AgentState.DRAINING]: { tone: 'warn' },
});

export const styledRegistrationStates = withStyle(registrationStateLabels, {
  [RegistrationState.REGISTERED]: { tone: 'good' },
  [RegistrationState.REQUESTED]: { tone: 'warn' },
});

export const registrationPolicies = {
  open: RegistrationPolicy.OPEN,
  approve: RegistrationPolicy.APPROVE,
} as const;

/** Adds to labels how a terminal shows them; a value without a style is shown plainly. */
export function withStyle<Value extends number>(
  labels: Labels<Value>,
  styles: Readonly<Partial<Record<Value, Omit<StyledLabel, 'text'>>>>,
): StyledLabels<Value> {
  const words = Object.entries<string>(labels).map(([value, text]) => [
    value,
    { text, ...styles[Number(value) as Value] },
  ]);
  return Object.fromEntries(words) as StyledLabels<Value>;
}

/** Returns the name of a value in a table of options; "-" for none. */
export function keyOfValue<V>(table: Readonly<Record<string, V>>, value: V): string {
  return Object.entries(table).find(([, candidate]) => candidate === value)?.[0] ?? '-';
}

/** Returns the text for a value; the number itself for one that this version does not know. */
export function styledLabelOf(table: Readonly<Record<number, StyledLabel>>, value: number): StyledLabel {
  return table[value] ?? { text: String(value) };
}

/** Returns the value for a text that was given to an option with `choicesOf`. */
export function valueOfLabel<V extends number>(
  table: Readonly<Record<V, StyledLabel>>,
  text: string | undefined,
): V | undefined {
  const entry = Object.entries<StyledLabel>(table).find(([, candidate]) => candidate.text === text);
  return entry === undefined ? undefined : (Number(entry[0]) as V);
}

/** Lists the words that `valueOfLabel` knows, without the one for unspecified. */
export function choicesOf(table: Readonly<Record<number, StyledLabel>>): string[] {
  return Object.values(table)
    .map(({ text }) => text)
    .filter((text) => text !== 'unknown');
}

/** Lists the phases of placements: "2 applied, 1 failed"; "none" without placements. */
export function placementCountsText(counts: PlacementCounts | undefined): string {
  const { applied = 0, pending = 0, failed = 0, held = 0, ahead = 0, removing = 0 } = counts ?? {};
  return joinCounts({ applied, pending, failed, held, ahead, removing }) || 'none';
}

/** Lists the counts that are not zero: "2 applied, 1 failed"; empty when there is none. */
export function joinCounts(counts: Readonly<Record<string, number>>): string {
  const parts = Object.entries(counts).filter(([, count]) => count > 0);
  return parts.map(([text, count]) => `${count} ${text}`).join(', ');
}

/** Returns the tone of the phase that needs attention most. */
export function placementCountsTone(counts: PlacementCounts | undefined): Tone | undefined {
  if (!counts) return undefined;
  if (counts.failed + counts.held + counts.ahead > 0) return 'bad';
  if (counts.pending + counts.removing > 0) return 'warn';
  return counts.applied > 0 ? 'good' : undefined;
}

/** Says how long ago something happened: "12m". Empty for what has not happened. */
export function ageText(time: Timestamp | undefined): string {
  return time === undefined ? '' : shortDuration(Date.now() - timestampMs(time));
}

/** Says when something happened: "2026-01-31T12:00:00Z (5d ago)". Empty for what has not happened. */
export function timestampText(time: Timestamp | undefined): string {
  if (time === undefined) return '';
  const ms = timestampMs(time);
  const past = Date.now() - ms;
  const words = past >= 0 ? `${shortDuration(past)} ago` : `in ${shortDuration(-past)}`;
  return `${new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z')} (${words})`;
}

/** "1 object", "3 objects". */
export function pluralize(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}
