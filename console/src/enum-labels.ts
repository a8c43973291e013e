import {
  actionLabels,
  agentStateLabels,
  healthLabels,
  type Labels,
  outcomeLabels,
  phaseLabels,
  registrationStateLabels,
  roleLabels,
} from '../../contract/enum-labels.ts';
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

interface Style {
  readonly tone: Tone;
  readonly icon: IconName;
}

/** How a value of the contract is shown: by a word and an icon, so that colour alone never carries the meaning. */
export interface Word extends Style {
  readonly word: string;
}

type Words<Value extends number> = Readonly<Record<Value, Word>>;

const unknown: Style = { tone: 'idle', icon: 'question' };

export const agentStates = withStyle(agentStateLabels, {
  [AgentState.UNSPECIFIED]: unknown,
  [AgentState.ONLINE]: { tone: 'good', icon: 'dot' },
  [AgentState.OFFLINE]: { tone: 'bad', icon: 'cross' },
  [AgentState.PAUSED]: { tone: 'warn', icon: 'pause' },
  [AgentState.NEVER_STARTED]: { tone: 'idle', icon: 'ring' },
  [AgentState.DRAINING]: { tone: 'warn', icon: 'down' },
});

export const healths = withStyle(healthLabels, {
  [Health.UNSPECIFIED]: { word: 'not reported', tone: 'idle', icon: 'ring' },
  [Health.HEALTHY]: { tone: 'good', icon: 'check' },
  [Health.PROGRESSING]: { tone: 'busy', icon: 'clock' },
  [Health.DEGRADED]: { tone: 'warn', icon: 'warning' },
  [Health.FAILED]: { tone: 'bad', icon: 'cross' },
  [Health.UNKNOWN]: unknown,
});

export const phases = withStyle(phaseLabels, {
  [PlacementPhase.UNSPECIFIED]: unknown,
  [PlacementPhase.PENDING]: { tone: 'busy', icon: 'clock' },
  [PlacementPhase.APPLIED]: { tone: 'good', icon: 'check' },
  [PlacementPhase.FAILED]: { tone: 'bad', icon: 'cross' },
  [PlacementPhase.REMOVING]: { tone: 'warn', icon: 'trash' },
  [PlacementPhase.HELD]: { tone: 'bad', icon: 'pause' },
  [PlacementPhase.AHEAD]: { tone: 'warn', icon: 'up' },
});

export const outcomes = withStyle(outcomeLabels, {
  [Outcome.UNSPECIFIED]: unknown,
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

export const actions = withStyle(actionLabels, {
  [ObjectAction.UNSPECIFIED]: unknown,
  [ObjectAction.CREATED]: { tone: 'good', icon: 'plus' },
  [ObjectAction.CONFIGURED]: { word: 'changed', tone: 'warn', icon: 'pencil' },
  [ObjectAction.UNCHANGED]: { tone: 'idle', icon: 'dot' },
  [ObjectAction.DELETED]: { tone: 'bad', icon: 'trash' },
  [ObjectAction.FAILED]: { tone: 'bad', icon: 'cross' },
  [ObjectAction.HELD]: { tone: 'bad', icon: 'pause' },
});

export const registrationStates = withStyle(registrationStateLabels, {
  [RegistrationState.UNSPECIFIED]: unknown,
  [RegistrationState.REGISTERED]: { tone: 'good', icon: 'check' },
  [RegistrationState.REQUESTED]: { tone: 'warn', icon: 'clock' },
});

export const verdicts: Words<StepVerdict> = {
  [StepVerdict.UNSPECIFIED]: { word: 'unknown', ...unknown },
  [StepVerdict.YES]: { word: 'yes', tone: 'good', icon: 'check' },
  [StepVerdict.NO]: { word: 'no', tone: 'bad', icon: 'cross' },
  [StepVerdict.INFO]: { word: 'note', tone: 'idle', icon: 'info' },
};

export const auditOutcomes: Words<AuditOutcome> = {
  [AuditOutcome.UNSPECIFIED]: { word: 'unknown', ...unknown },
  [AuditOutcome.DONE]: { word: 'done', tone: 'good', icon: 'check' },
  [AuditOutcome.DENIED]: { word: 'denied', tone: 'bad', icon: 'lock' },
};

export const roles: Labels<Role> = { ...roleLabels, [Role.UNSPECIFIED]: 'nobody' };

/** Adds to labels how they are shown; hyphens of the CLI's words become spaces. A style with a `word` replaces the label. */
function withStyle<Value extends number>(
  labels: Labels<Value>,
  styles: Readonly<Record<Value, Style & { readonly word?: string }>>,
): Words<Value> {
  const words = Object.entries<string>(labels).map(([value, label]) => [
    value,
    { word: label.replaceAll('-', ' '), ...styles[Number(value) as Value] },
  ]);
  return Object.fromEntries(words) as Words<Value>;
}

/** Returns the word for a value; the number itself for one that this version does not know. */
export function wordOf(table: Readonly<Record<number, Word>>, value: number): Word {
  return table[value] ?? { ...unknown, word: String(value) };
}

/** Lists the phases that placements are in, the worst first. */
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

/** "1 object", "3 objects", "2,000 objects". */
export function count(number: number, noun: string, many = `${noun}s`): string {
  return `${number.toLocaleString('en')} ${number === 1 ? noun : many}`;
}

/** "1.2 MiB". */
export function size(bytes: bigint | number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB'];
  let value = Number(bytes);
  let unit = 0;
  for (; value >= 1024 && unit < units.length - 1; unit += 1) value /= 1024;
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}
