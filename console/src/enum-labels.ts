import { AuditOutcome } from '../../gen/brokkr/v1/audit_pb.ts';
import { Outcome } from '../../gen/brokkr/v1/event_pb.ts';
import { AgentState } from '../../gen/brokkr/v1/fleet_pb.ts';
import { RegistrationState } from '../../gen/brokkr/v1/generator_pb.ts';
import { Health } from '../../gen/brokkr/v1/health_pb.ts';
import { ObjectAction, type ObjectRef } from '../../gen/brokkr/v1/object_pb.ts';
import { Role } from '../../gen/brokkr/v1/options_pb.ts';
import {
  MatchKind,
  type MatchReason,
  type PlacementCounts,
  PlacementPhase,
  StepVerdict,
} from '../../gen/brokkr/v1/placement_pb.ts';
import type { IconName } from './components/icon.tsx';

export type Tone = 'good' | 'busy' | 'warn' | 'bad' | 'idle';

/** How the console shows an enum value: by text and icon, so that nothing depends on colour alone. */
export interface EnumLabel {
  readonly text: string;
  readonly tone: Tone;
  readonly icon: IconName;
}

const unknownLabel: EnumLabel = { text: 'unknown', tone: 'idle', icon: 'question' };

export const agentStateLabels: Readonly<Record<AgentState, EnumLabel>> = {
  [AgentState.UNSPECIFIED]: unknownLabel,
  [AgentState.ONLINE]: { text: 'online', tone: 'good', icon: 'dot' },
  [AgentState.OFFLINE]: { text: 'offline', tone: 'bad', icon: 'cross' },
  [AgentState.PAUSED]: { text: 'paused', tone: 'warn', icon: 'pause' },
  [AgentState.NEVER_STARTED]: { text: 'never started', tone: 'idle', icon: 'ring' },
  [AgentState.DRAINING]: { text: 'draining', tone: 'warn', icon: 'down' },
};

export const healthLabels: Readonly<Record<Health, EnumLabel>> = {
  [Health.UNSPECIFIED]: { text: 'not reported', tone: 'idle', icon: 'ring' },
  [Health.HEALTHY]: { text: 'healthy', tone: 'good', icon: 'check' },
  [Health.PROGRESSING]: { text: 'progressing', tone: 'busy', icon: 'clock' },
  [Health.DEGRADED]: { text: 'degraded', tone: 'warn', icon: 'warning' },
  [Health.FAILED]: { text: 'failed', tone: 'bad', icon: 'cross' },
  [Health.UNKNOWN]: unknownLabel,
};

export const phaseLabels: Readonly<Record<PlacementPhase, EnumLabel>> = {
  [PlacementPhase.UNSPECIFIED]: unknownLabel,
  [PlacementPhase.PENDING]: { text: 'pending', tone: 'busy', icon: 'clock' },
  [PlacementPhase.APPLIED]: { text: 'applied', tone: 'good', icon: 'check' },
  [PlacementPhase.FAILED]: { text: 'failed', tone: 'bad', icon: 'cross' },
  [PlacementPhase.REMOVING]: { text: 'removing', tone: 'warn', icon: 'trash' },
  [PlacementPhase.HELD]: { text: 'held', tone: 'bad', icon: 'pause' },
  [PlacementPhase.AHEAD]: { text: 'ahead', tone: 'warn', icon: 'up' },
};

export const outcomeLabels: Readonly<Record<Outcome, EnumLabel>> = {
  [Outcome.UNSPECIFIED]: unknownLabel,
  [Outcome.APPLIED]: { text: 'applied', tone: 'good', icon: 'check' },
  [Outcome.FAILED]: { text: 'failed', tone: 'bad', icon: 'cross' },
  [Outcome.REMOVED]: { text: 'removed', tone: 'good', icon: 'trash' },
  [Outcome.REMOVAL_FAILED]: { text: 'removal failed', tone: 'bad', icon: 'cross' },
  [Outcome.HELD]: { text: 'held', tone: 'bad', icon: 'pause' },
  [Outcome.AHEAD]: { text: 'ahead', tone: 'warn', icon: 'up' },
  [Outcome.GAP]: { text: 'gap', tone: 'warn', icon: 'warning' },
  [Outcome.DRIFTED]: { text: 'drifted', tone: 'warn', icon: 'warning' },
  [Outcome.REPAIRED]: { text: 'repaired', tone: 'warn', icon: 'wrench' },
  [Outcome.WAITING]: { text: 'waiting', tone: 'busy', icon: 'clock' },
};

export const actionLabels: Readonly<Record<ObjectAction, EnumLabel>> = {
  [ObjectAction.UNSPECIFIED]: unknownLabel,
  [ObjectAction.CREATED]: { text: 'created', tone: 'good', icon: 'plus' },
  [ObjectAction.CONFIGURED]: { text: 'changed', tone: 'warn', icon: 'pencil' },
  [ObjectAction.UNCHANGED]: { text: 'unchanged', tone: 'idle', icon: 'dot' },
  [ObjectAction.DELETED]: { text: 'deleted', tone: 'bad', icon: 'trash' },
  [ObjectAction.FAILED]: { text: 'failed', tone: 'bad', icon: 'cross' },
  [ObjectAction.HELD]: { text: 'held', tone: 'bad', icon: 'pause' },
};

export const verdictLabels: Readonly<Record<StepVerdict, EnumLabel>> = {
  [StepVerdict.UNSPECIFIED]: unknownLabel,
  [StepVerdict.YES]: { text: 'yes', tone: 'good', icon: 'check' },
  [StepVerdict.NO]: { text: 'no', tone: 'bad', icon: 'cross' },
  [StepVerdict.INFO]: { text: 'note', tone: 'idle', icon: 'info' },
};

export const registrationStateLabels: Readonly<Record<RegistrationState, EnumLabel>> = {
  [RegistrationState.UNSPECIFIED]: unknownLabel,
  [RegistrationState.REGISTERED]: { text: 'registered', tone: 'good', icon: 'check' },
  [RegistrationState.REQUESTED]: { text: 'requested', tone: 'warn', icon: 'clock' },
};

export const auditOutcomeLabels: Readonly<Record<AuditOutcome, EnumLabel>> = {
  [AuditOutcome.UNSPECIFIED]: unknownLabel,
  [AuditOutcome.DONE]: { text: 'done', tone: 'good', icon: 'check' },
  [AuditOutcome.DENIED]: { text: 'denied', tone: 'bad', icon: 'lock' },
};

export const roleNames: Readonly<Record<Role, string>> = {
  [Role.UNSPECIFIED]: 'nobody',
  [Role.ADMIN]: 'admin',
  [Role.READ_ONLY]: 'read-only admin',
  [Role.GENERATOR]: 'generator',
  [Role.AGENT]: 'agent',
  [Role.ENROLLMENT]: 'enrollment',
};

/** Returns the label of an enum value. Values of a newer broker that are unknown here are shown as numbers. */
export function labelOf(table: Readonly<Record<number, EnumLabel>>, value: number): EnumLabel {
  return table[value] ?? { ...unknownLabel, text: String(value) };
}

const matchKindNames: Readonly<Record<MatchKind, string>> = {
  [MatchKind.UNSPECIFIED]: 'unknown',
  [MatchKind.TARGET]: 'target',
  [MatchKind.LABEL]: 'label',
  [MatchKind.ANNOTATION]: 'annotation',
  [MatchKind.SELECTOR]: 'selector',
};

/** Describes why an agent serves a stack: "label prod, target". */
export function reasonsText(reasons: readonly MatchReason[]): string {
  return reasons.map(({ kind, detail }) => `${matchKindNames[kind] ?? kind} ${detail}`.trim()).join(', ');
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

/** Formats an object reference: "Deployment.apps demo/web". */
export function objectText(ref: ObjectRef | undefined): string {
  if (!ref) return '';
  const group = ref.apiVersion.includes('/') ? `.${ref.apiVersion.split('/')[0]}` : '';
  return `${ref.kind}${group} ${ref.namespace === '' ? '' : `${ref.namespace}/`}${ref.name}`;
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
