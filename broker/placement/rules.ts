import { onlineForMs } from '../agent/rules.ts';
import type { HealthName } from '../health/rules.ts';
import type { MatchFacts } from './store.ts';

/** A placement as it is read: what is desired beside what was reported. */
export interface PlacementRow {
  readonly agent_id: string;
  readonly agent: string;
  readonly stack_id: string;
  readonly stack: string;
  readonly state: 'active' | 'removing';
  readonly generation: string;
  readonly reasons: { kind: 'target' | 'label' | 'annotation' | 'selector'; detail: string }[];
  readonly desired_id: string | null;
  readonly desired_revision: number | null;
  readonly phase: Phase;
  readonly reported_id: string | null;
  readonly reported_revision: number | null;
  readonly message: string | null;
  readonly reported_at: Date | null;
  readonly removal_reason: string;
  readonly held: boolean;
  /** Of the objects whose deletion the agent holds back. */
  readonly held_keys: string[];
  readonly updated_at: Date;
  /** What the agent is told by. */
  readonly ord: string;
  /** Of what is desired now; null until the agent has reported it. */
  readonly health: HealthName | null;
  readonly health_message: string | null;
  /** The agent waits for something else before it applies what is desired now; the message says for what. */
  readonly waiting: boolean;
}

/** What an agent reported about a stack, newest first. */
export interface RecentEvent {
  readonly outcome: string;
  readonly message: string;
}

export const phases = ['pending', 'applied', 'failed', 'removing', 'held', 'ahead'] as const;
export type Phase = (typeof phases)[number];

export interface Step {
  readonly name: string;
  readonly verdict: 'yes' | 'no' | 'info';
  readonly detail: string;
}

export interface Explanation {
  readonly summary: string;
  readonly steps: readonly Step[];
}

/** Says why a stack is, or is not, applied by an agent: first whether it is meant for it, then how far it came. */
export function explain(
  facts: MatchFacts,
  placement: PlacementRow | undefined,
  lately: readonly RecentEvent[],
  names: { agent: string; stack: string },
  now: Date,
): Explanation {
  const registered = facts.registration === 'registered';
  const steps: Step[] = [
    {
      name: 'registered',
      verdict: registered ? 'yes' : 'no',
      detail: registered
        ? 'the agent is registered with the generator'
        : facts.registration === 'requested'
          ? 'the agent asked to be registered; an admin has to approve it'
          : 'the agent is not registered with the generator',
    },
    ...matchSteps(facts),
    step(
      'deployment',
      facts.revision !== null,
      facts.revision === null ? 'nothing was submitted yet' : `revision ${facts.revision} is current`,
    ),
    onlineStep(facts, now),
    step(
      'not paused',
      !facts.paused,
      facts.paused ? 'the agent is paused: it changes nothing' : 'the agent is not paused',
    ),
    ...heldSteps(placement),
    ...progressSteps(facts, placement, lately),
  ];
  return { summary: summarise(facts, placement, lately, steps, names), steps };
}

/** What waits for somebody's yes, and how that is given. */
function heldSteps(placement: PlacementRow | undefined): Step[] {
  if (placement?.phase !== 'held') return [];
  const { state, agent, stack, message, removal_reason: reason } = placement;
  const next = `brokkr confirm-removal ${agent} ${stack}`;
  return [step(state === 'removing' ? 'removal' : 'deletions', false, `held, ${message || reason}; ${next}`)];
}

/** How far it came, where there is more to say than the phase does. */
function progressSteps(
  { unavailableDependencies }: MatchFacts,
  placement: PlacementRow | undefined,
  lately: readonly RecentEvent[],
): Step[] {
  if (placement?.state !== 'active' || placement.desired_id === null) return [];
  const { health, health_message: why, waiting, message } = placement;
  const drift = driftOf(lately);
  return [
    ...(waiting
      ? [step('not waiting', false, message ?? ''), ...unavailableDependencies.map(unavailableDependencyStep)]
      : []),
    ...(health === null ? [] : [step('healthy', health === 'healthy', why ? `${health}: ${why}` : health)]),
    ...(drift ? [{ name: 'drift', verdict: 'info', detail: `${drift.outcome}: ${drift.message}` } as const] : []),
  ];
}

/** The agent can name neither the stack nor the reason: it is told of what it serves and has something to apply of. */
function unavailableDependencyStep({ name, placed }: MatchFacts['unavailableDependencies'][number]): Step {
  const why = placed ? 'of which nothing was submitted yet' : 'which the agent does not serve';
  return step('depends on', false, `stack ${name}, ${why}`);
}

/** What was last said of changes by somebody else, unless something was applied since. */
function driftOf(lately: readonly RecentEvent[]): RecentEvent | undefined {
  const said = lately.find(({ outcome }) => ['drifted', 'repaired', 'applied'].includes(outcome));
  return said?.outcome === 'applied' ? undefined : said;
}

function matchSteps(facts: MatchFacts): Step[] {
  const labels = facts.stack_labels.filter((label) => facts.agent_labels.includes(label));
  const annotations = Object.entries(facts.stack_annotations).filter(
    ([key, value]) => facts.agent_annotations[key] === value,
  );
  const selected = facts.has_selector && facts.terms.every((term) => term.holds);
  return [
    step('target', facts.targeted, facts.targeted ? 'explicitly targeted' : 'not explicitly targeted'),
    step(
      'label',
      labels.length > 0,
      labels.length > 0
        ? `shared: ${labels.join(', ')}`
        : `stack has ${list(facts.stack_labels)}; agent has ${list(facts.agent_labels)}`,
    ),
    step(
      'annotation',
      annotations.length > 0,
      annotations.length > 0
        ? `shared: ${annotations.map(([key, value]) => `${key}=${value}`).join(', ')}`
        : `stack has ${list(pairs(facts.stack_annotations))}; agent has ${list(pairs(facts.agent_annotations))}`,
    ),
    step('selector', selected, facts.has_selector ? termsText(facts) : 'the stack has no selector'),
  ];
}

function termsText(facts: MatchFacts): string {
  if (facts.terms.length === 0) return 'matches every registered agent';
  return facts.terms
    .map((term) => {
      const values = term.vals.length > 0 ? ` (${term.vals.join(', ')})` : '';
      return `${term.key} ${term.op.replaceAll('_', ' ')}${values}: ${term.holds ? 'holds' : 'does not hold'}`;
    })
    .join('; ');
}

function onlineStep(facts: MatchFacts, now: Date): Step {
  const seen = facts.last_heartbeat_at;
  if (seen === null)
    return step('agent online', false, facts.incarnation === '0' ? 'the agent has never started' : 'no heartbeat yet');
  const ageMs = Math.max(now.getTime() - seen.getTime(), 0);
  return step('agent online', ageMs < onlineForMs, `last heartbeat ${Math.round(ageMs / 1000)} s ago`);
}

function summarise(
  facts: MatchFacts,
  placement: PlacementRow | undefined,
  lately: readonly RecentEvent[],
  steps: readonly Step[],
  names: { agent: string; stack: string },
): string {
  const no = (name: string) => steps.find((candidate) => candidate.name === name)?.verdict === 'no';
  const detail = (name: string) => steps.find((candidate) => candidate.name === name)?.detail ?? '';
  if (!placement) {
    if (no('registered')) return `not meant for ${names.agent}: ${detail('registered')}`;
    if (facts.agent_deleted) return `not meant for ${names.agent}: the agent is being deleted`;
    return `not meant for ${names.agent}: no target, label, annotation or selector matches`;
  }
  const waiting = no('agent online') ? `; ${detail('agent online')}` : facts.paused ? '; the agent is paused' : '';
  switch (placement.phase) {
    case 'applied':
      return `revision ${placement.desired_revision} is applied${butText(placement, lately)}`;
    case 'failed':
      return `revision ${placement.desired_revision} failed, and is tried again: ${placement.message}${waiting}`;
    case 'removing':
      return `being removed (${placement.removal_reason}), not acknowledged yet${placement.message && placement.reported_at && placement.reported_at >= placement.updated_at ? `: ${placement.message}` : ''}${waiting}`;
    case 'held':
      return `waits for confirm-removal at generation ${placement.generation}: ${placement.message || placement.removal_reason}`;
    case 'ahead':
      return 'the agent holds something newer than the broker knows and keeps it, until the next submission, rollback or confirm-removal';
    case 'pending':
      return placement.desired_revision === null
        ? 'nothing was submitted yet'
        : placement.waiting
          ? `revision ${placement.desired_revision} waits: ${placement.message}${waiting}`
          : `revision ${placement.desired_revision} is not reported yet${waiting}`;
  }
}

/** What an applied stack still lacks: the worst first. */
function butText({ health, health_message: why }: PlacementRow, lately: readonly RecentEvent[]): string {
  const because = why ? `: ${why}` : '';
  switch (health) {
    case 'failed':
    case 'degraded':
      return `, but ${health}${because}`;
    case 'unknown':
      return `, but its health is unknown${because}`;
    case 'progressing':
      return `, and not healthy yet${because}`;
    case 'healthy':
    case null: {
      const drift = driftOf(lately);
      return drift?.outcome === 'drifted' ? `, but somebody else has changed it: ${drift.message}` : '';
    }
  }
}

function step(name: string, holds: boolean, detail: string): Step {
  return { name, verdict: holds ? 'yes' : 'no', detail };
}

function list(items: readonly string[]): string {
  return items.length === 0 ? 'none' : items.join(', ');
}

function pairs(record: Readonly<Record<string, string>>): string[] {
  return Object.entries(record).map(([key, value]) => `${key}=${value}`);
}
