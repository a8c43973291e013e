import * as contract from '../../contract/enum-labels.ts';
import { AuditOutcome } from '../../gen/brokkr/v1/audit_pb.ts';
import { Outcome } from '../../gen/brokkr/v1/event_pb.ts';
import { AgentState } from '../../gen/brokkr/v1/fleet_pb.ts';
import { RegistrationState } from '../../gen/brokkr/v1/generator_pb.ts';
import { Health } from '../../gen/brokkr/v1/health_pb.ts';
import { ObjectAction } from '../../gen/brokkr/v1/object_pb.ts';
import { Role } from '../../gen/brokkr/v1/options_pb.ts';
import { type PlacementCounts, PlacementPhase, StepVerdict } from '../../gen/brokkr/v1/placement_pb.ts';
import type { IconName } from './components/icon.tsx';

export type Tone = 'good' | 'busy' | 'warn' | 'bad' | 'idle';

/** The text and icon by which the console shows an enum value, so that nothing depends on colour alone. */
export interface EnumLabel extends Style {
  readonly text: string;
}

interface Style {
  readonly tone: Tone;
  readonly icon: IconName;
}

const unknownStyle: Style = { tone: 'idle', icon: 'question' };
const unknownLabel: EnumLabel = { text: 'unknown', ...unknownStyle };

export const agentStateLabels = withStyle(contract.agentStateLabels, {
  [AgentState.UNSPECIFIED]: unknownStyle,
  [AgentState.ONLINE]: { tone: 'good', icon: 'dot' },
  [AgentState.OFFLINE]: { tone: 'bad', icon: 'cross' },
  [AgentState.PAUSED]: { tone: 'warn', icon: 'pause' },
  [AgentState.NEVER_STARTED]: { tone: 'idle', icon: 'ring' },
  [AgentState.DRAINING]: { tone: 'warn', icon: 'down' },
});

export const healthLabels = withStyle(contract.healthLabels, {
  [Health.UNSPECIFIED]: { text: 'not reported', tone: 'idle', icon: 'ring' },
  [Health.HEALTHY]: { tone: 'good', icon: 'check' },
  [Health.PROGRESSING]: { tone: 'busy', icon: 'clock' },
  [Health.DEGRADED]: { tone: 'warn', icon: 'warning' },
  [Health.FAILED]: { tone: 'bad', icon: 'cross' },
  [Health.UNKNOWN]: unknownStyle,
});

export const phaseLabels = withStyle(contract.phaseLabels, {
  [PlacementPhase.UNSPECIFIED]: unknownStyle,
  [PlacementPhase.PENDING]: { tone: 'busy', icon: 'clock' },
  [PlacementPhase.APPLIED]: { tone: 'good', icon: 'check' },
  [PlacementPhase.FAILED]: { tone: 'bad', icon: 'cross' },
  [PlacementPhase.REMOVING]: { tone: 'warn', icon: 'trash' },
  [PlacementPhase.HELD]: { tone: 'bad', icon: 'pause' },
  [PlacementPhase.AHEAD]: { tone: 'warn', icon: 'up' },
});

export const outcomeLabels = withStyle(contract.outcomeLabels, {
  [Outcome.UNSPECIFIED]: unknownStyle,
  [Outcome.APPLIED]: { tone: 'good', icon: 'check' },
  [Outcome.FAILED]: { tone: 'bad', icon: 'cross' },
  [Outcome.REMOVED]: { tone: 'good', icon: 'trash' },
  [Outcome.REMOVAL_FAILED]: { tone: 'bad', icon: 'cross' },
  [Outcome.HELD]: { tone: 'bad', icon: 'pause' },
  [Outcome.AHEAD]: { tone: 'warn', icon: 'up' },
  [Outcome.GAP]: { tone: 'warn', icon: 'warning' },
  [Outcome.DRIFTED]: { tone: 'warn', icon: 'warning' },
  [Outcome.REPAIRED]: { tone: 'warn', icon: 'wrench' },
  [Outcome.WAITING]: { tone: 'busy', icon: 'clock' },
});

export const actionLabels = withStyle(contract.actionLabels, {
  [ObjectAction.UNSPECIFIED]: unknownStyle,
  [ObjectAction.CREATED]: { tone: 'good', icon: 'plus' },
  [ObjectAction.CONFIGURED]: { text: 'changed', tone: 'warn', icon: 'pencil' },
  [ObjectAction.UNCHANGED]: { tone: 'idle', icon: 'dot' },
  [ObjectAction.DELETED]: { tone: 'bad', icon: 'trash' },
  [ObjectAction.FAILED]: { tone: 'bad', icon: 'cross' },
  [ObjectAction.HELD]: { tone: 'bad', icon: 'pause' },
});

export const verdictLabels: Readonly<Record<StepVerdict, EnumLabel>> = {
  [StepVerdict.UNSPECIFIED]: unknownLabel,
  [StepVerdict.YES]: { text: 'yes', tone: 'good', icon: 'check' },
  [StepVerdict.NO]: { text: 'no', tone: 'bad', icon: 'cross' },
  [StepVerdict.INFO]: { text: 'note', tone: 'idle', icon: 'info' },
};

export const registrationStateLabels = withStyle(contract.registrationStateLabels, {
  [RegistrationState.UNSPECIFIED]: unknownStyle,
  [RegistrationState.REGISTERED]: { tone: 'good', icon: 'check' },
  [RegistrationState.REQUESTED]: { tone: 'warn', icon: 'clock' },
});

export const auditOutcomeLabels: Readonly<Record<AuditOutcome, EnumLabel>> = {
  [AuditOutcome.UNSPECIFIED]: unknownLabel,
  [AuditOutcome.DONE]: { text: 'done', tone: 'good', icon: 'check' },
  [AuditOutcome.DENIED]: { text: 'denied', tone: 'bad', icon: 'lock' },
};

export const roleNames: contract.Labels<Role> = { ...contract.roleLabels, [Role.UNSPECIFIED]: 'nobody' };

/** Adds to the words of the contract how the console shows them, with spaces for hyphens. A style with a `text` replaces the word. */
function withStyle<Value extends number>(
  words: contract.Labels<Value>,
  styles: Readonly<Record<Value, Style & { readonly text?: string }>>,
): Readonly<Record<Value, EnumLabel>> {
  const labels = Object.entries<string>(words).map(([value, word]) => [
    value,
    { text: word.replaceAll('-', ' '), ...styles[Number(value) as Value] },
  ]);
  return Object.fromEntries(labels) as Record<Value, EnumLabel>;
}

/** Returns the label of an enum value. Values of a newer broker that are unknown here are shown as numbers. */
export function labelOf(table: Readonly<Record<number, EnumLabel>>, value: number): EnumLabel {
  return table[value] ?? { ...unknownLabel, text: String(value) };
}

/** Returns the phases that have placements, the worst first. */
export function phaseCounts(counts: PlacementCounts | undefined): { phase: PlacementPhase; count: number }[] {
  if (!counts) return [];
  const { FAILED, HELD, AHEAD, REMOVING, PENDING, APPLIED } = PlacementPhase;
  const all = [
    { phase: FAILED, count: counts.failed },
    { phase: HELD, count: counts.held },
    { phase: AHEAD, count: counts.ahead },
    { phase: REMOVING, count: counts.removing },
    { phase: PENDING, count: counts.pending },
    { phase: APPLIED, count: counts.applied },
  ];
  return all.filter(({ count }) => count > 0);
}

/** Formats a count with its noun: "1 object", "2,000 objects". */
export function countText(number: number, noun: string, many = `${noun}s`): string {
  return `${number.toLocaleString('en')} ${number === 1 ? noun : many}`;
}

/** Formats a number of bytes: "1.2 MiB". */
export function sizeText(bytes: bigint | number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB'];
  let value = Number(bytes);
  let unit = 0;
  for (; value >= 1024 && unit < units.length - 1; unit += 1) value /= 1024;
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}
