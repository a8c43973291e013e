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

/** How a value of the contract is shown: by a word and a sign, so that nothing is told by a colour alone. */
export interface Word {
  readonly word: string;
  readonly tone: Tone;
  readonly icon: IconName;
}

const unknown: Word = { word: 'unknown', tone: 'idle', icon: 'question' };

export const agentStates: Readonly<Record<AgentState, Word>> = {
  [AgentState.UNSPECIFIED]: unknown,
  [AgentState.ONLINE]: { word: 'online', tone: 'good', icon: 'dot' },
  [AgentState.OFFLINE]: { word: 'offline', tone: 'bad', icon: 'cross' },
  [AgentState.PAUSED]: { word: 'paused', tone: 'warn', icon: 'pause' },
  [AgentState.NEVER_STARTED]: { word: 'never started', tone: 'idle', icon: 'ring' },
  [AgentState.DRAINING]: { word: 'draining', tone: 'warn', icon: 'down' },
};

export const healths: Readonly<Record<Health, Word>> = {
  [Health.UNSPECIFIED]: { word: 'not reported', tone: 'idle', icon: 'ring' },
  [Health.HEALTHY]: { word: 'healthy', tone: 'good', icon: 'check' },
  [Health.PROGRESSING]: { word: 'progressing', tone: 'busy', icon: 'clock' },
  [Health.DEGRADED]: { word: 'degraded', tone: 'warn', icon: 'warning' },
  [Health.FAILED]: { word: 'failed', tone: 'bad', icon: 'cross' },
  [Health.UNKNOWN]: unknown,
};

export const phases: Readonly<Record<PlacementPhase, Word>> = {
  [PlacementPhase.UNSPECIFIED]: unknown,
  [PlacementPhase.PENDING]: { word: 'pending', tone: 'busy', icon: 'clock' },
  [PlacementPhase.APPLIED]: { word: 'applied', tone: 'good', icon: 'check' },
  [PlacementPhase.FAILED]: { word: 'failed', tone: 'bad', icon: 'cross' },
  [PlacementPhase.REMOVING]: { word: 'removing', tone: 'warn', icon: 'trash' },
  [PlacementPhase.HELD]: { word: 'held', tone: 'bad', icon: 'pause' },
  [PlacementPhase.AHEAD]: { word: 'ahead', tone: 'warn', icon: 'up' },
};

export const outcomes: Readonly<Record<Outcome, Word>> = {
  [Outcome.UNSPECIFIED]: unknown,
  [Outcome.APPLIED]: { word: 'applied', tone: 'good', icon: 'check' },
  [Outcome.FAILED]: { word: 'failed', tone: 'bad', icon: 'cross' },
  [Outcome.REMOVED]: { word: 'removed', tone: 'good', icon: 'trash' },
  [Outcome.REMOVAL_FAILED]: { word: 'removal failed', tone: 'bad', icon: 'cross' },
  [Outcome.HELD]: { word: 'held', tone: 'bad', icon: 'pause' },
  [Outcome.AHEAD]: { word: 'ahead', tone: 'warn', icon: 'up' },
  [Outcome.GAP]: { word: 'gap', tone: 'warn', icon: 'warning' },
  [Outcome.DRIFTED]: { word: 'drifted', tone: 'warn', icon: 'warning' },
  [Outcome.REPAIRED]: { word: 'repaired', tone: 'warn', icon: 'wrench' },
  [Outcome.WAITING]: { word: 'waiting', tone: 'busy', icon: 'clock' },
};

export const actions: Readonly<Record<ObjectAction, Word>> = {
  [ObjectAction.UNSPECIFIED]: unknown,
  [ObjectAction.CREATED]: { word: 'created', tone: 'good', icon: 'plus' },
  [ObjectAction.CONFIGURED]: { word: 'changed', tone: 'warn', icon: 'pencil' },
  [ObjectAction.UNCHANGED]: { word: 'unchanged', tone: 'idle', icon: 'dot' },
  [ObjectAction.DELETED]: { word: 'deleted', tone: 'bad', icon: 'trash' },
  [ObjectAction.FAILED]: { word: 'failed', tone: 'bad', icon: 'cross' },
  [ObjectAction.HELD]: { word: 'held', tone: 'bad', icon: 'pause' },
};

export const verdicts: Readonly<Record<StepVerdict, Word>> = {
  [StepVerdict.UNSPECIFIED]: unknown,
  [StepVerdict.YES]: { word: 'yes', tone: 'good', icon: 'check' },
  [StepVerdict.NO]: { word: 'no', tone: 'bad', icon: 'cross' },
  [StepVerdict.INFO]: { word: 'note', tone: 'idle', icon: 'info' },
};

export const registrationStates: Readonly<Record<RegistrationState, Word>> = {
  [RegistrationState.UNSPECIFIED]: unknown,
  [RegistrationState.REGISTERED]: { word: 'registered', tone: 'good', icon: 'check' },
  [RegistrationState.REQUESTED]: { word: 'requested', tone: 'warn', icon: 'clock' },
};

export const auditOutcomes: Readonly<Record<AuditOutcome, Word>> = {
  [AuditOutcome.UNSPECIFIED]: unknown,
  [AuditOutcome.DONE]: { word: 'done', tone: 'good', icon: 'check' },
  [AuditOutcome.DENIED]: { word: 'denied', tone: 'bad', icon: 'lock' },
};

export const roles: Readonly<Record<Role, string>> = {
  [Role.UNSPECIFIED]: 'nobody',
  [Role.ADMIN]: 'admin',
  [Role.READ_ONLY]: 'read-only admin',
  [Role.GENERATOR]: 'generator',
  [Role.AGENT]: 'agent',
  [Role.ENROLLMENT]: 'enrollment',
};

/** The word for a value; a newer broker's is none of ours. */
export function wordOf(table: Readonly<Record<number, Word>>, value: number): Word {
  return table[value] ?? { ...unknown, word: String(value) };
}

const matchKinds: Readonly<Record<MatchKind, string>> = {
  [MatchKind.UNSPECIFIED]: 'unknown',
  [MatchKind.TARGET]: 'target',
  [MatchKind.LABEL]: 'label',
  [MatchKind.ANNOTATION]: 'annotation',
  [MatchKind.SELECTOR]: 'selector',
};

/** Why an agent serves a stack: "label prod, target". */
export function reasonsText(reasons: readonly MatchReason[]): string {
  return reasons.map(({ kind, detail }) => `${matchKinds[kind] ?? kind} ${detail}`.trim()).join(', ');
}

/** The phases that there are any placements in, the worst first. */
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

/** "Deployment.apps demo/web". */
export function objectText(ref: ObjectRef | undefined): string {
  if (!ref) return '';
  const group = ref.apiVersion.includes('/') ? `.${ref.apiVersion.split('/')[0]}` : '';
  return `${ref.kind}${group} ${ref.namespace === '' ? '' : `${ref.namespace}/`}${ref.name}`;
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
