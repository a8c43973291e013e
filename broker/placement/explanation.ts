import type { PlacementRow } from './rules.ts';

/** Everything that decides whether a stack matches an agent, and whether the agent can apply it. */
export interface MatchFacts {
  readonly registration: string | null;
  readonly isTargeted: boolean;
  readonly agentLabels: readonly string[];
  readonly stackLabels: readonly string[];
  readonly agentAnnotations: Readonly<Record<string, string>>;
  readonly stackAnnotations: Readonly<Record<string, string>>;
  readonly hasSelector: boolean;
  readonly terms: readonly TermFact[];
  readonly isPaused: boolean;
  readonly incarnation: string;
  readonly lastHeartbeatAt: Date | null;
  readonly revision: number | null;
  readonly isAgentDeleted: boolean;
  /** Stacks that this one depends on and that the agent gets no manifest of: not placed there, or never submitted. */
  readonly unavailableDependencies: readonly UnavailableDependency[];
}

interface TermFact {
  readonly key: string;
  readonly operator: string;
  readonly values: readonly string[];
  /** True if the agent satisfies the term. */
  readonly holds: boolean;
}

interface UnavailableDependency {
  readonly name: string;
  readonly isPlaced: boolean;
}

/** An agent's report about a stack. */
export interface RecentEvent {
  readonly outcome: string;
  readonly message: string;
}

export interface Step {
  readonly name: string;
  readonly verdict: 'yes' | 'no' | 'info';
  readonly detail: string;
}

export interface Explanation {
  readonly summary: string;
  readonly steps: readonly Step[];
}

export interface Situation {
  /** The agent's name. */
  readonly agent: string;
  readonly facts: MatchFacts;
  /** Undefined when the stack is not placed on the agent. */
  readonly placement: PlacementRow | undefined;
  /** Newest first. */
  readonly events: readonly RecentEvent[];
  readonly now: Date;
  /** Age in milliseconds from which a heartbeat no longer counts. */
  readonly onlineForMs: number;
}

/** Explains why a stack is, or is not, applied by an agent: first whether it matches the agent, then how far it came. */
export function explain(situation: Situation): Explanation {
  const { facts, placement, events } = situation;
  const steps: Step[] = [
    registrationStep(facts),
    ...matchSteps(facts),
    toStep(
      'deployment',
      facts.revision !== null,
      facts.revision === null ? 'nothing was submitted yet' : `revision ${facts.revision} is current`,
    ),
    onlineStep(situation),
    toStep(
      'not paused',
      !facts.isPaused,
      facts.isPaused ? 'the agent is paused: it changes nothing' : 'the agent is not paused',
    ),
    ...heldSteps(placement),
    ...progressSteps(facts, placement, events),
  ];
  return { summary: summarise(situation, steps), steps };
}

function registrationStep({ registration }: MatchFacts): Step {
  switch (registration) {
    case 'registered':
      return toStep('registered', true, 'the agent is registered with the generator');
    case 'requested':
      return toStep('registered', false, 'the agent asked to be registered; an admin has to approve it');
    default:
      return toStep('registered', false, 'the agent is not registered with the generator');
  }
}

/** Names what an admin has to confirm, and the command for it. */
function heldSteps(placement: PlacementRow | undefined): Step[] {
  if (placement?.phase !== 'held') return [];
  const { state, agent, stack, message, removalReason } = placement;
  const command = `brokkr confirm-removal ${agent} ${stack}`;
  const name = state === 'removing' ? 'removal' : 'deletions';
  return [toStep(name, false, `held, ${message || removalReason}; ${command}`)];
}

/** Says how far the agent came: applied, dependencies, health and drift. */
function progressSteps(
  { unavailableDependencies }: MatchFacts,
  placement: PlacementRow | undefined,
  events: readonly RecentEvent[],
): Step[] {
  if (placement?.state !== 'active' || placement.desiredId === null) return [];
  const { health, healthMessage, waiting, message } = placement;
  const drift = driftOf(events);
  return [
    ...appliedSteps(placement),
    ...(waiting ? [toStep('not waiting', false, message ?? ''), ...unavailableDependencies.map(dependencyStep)] : []),
    ...(health === null
      ? []
      : [toStep('healthy', health === 'healthy', healthMessage ? `${health}: ${healthMessage}` : health)]),
    ...(drift ? [{ name: 'drift', verdict: 'info', detail: `${drift.outcome}: ${drift.message}` } as const] : []),
  ];
}

/** Says whether the desired revision is applied; nothing while another step says what it waits for. */
function appliedSteps({ phase, desiredRevision, message, waiting }: PlacementRow): Step[] {
  const step = (holds: boolean, detail: string) => [toStep('applied', holds, `revision ${desiredRevision} ${detail}`)];
  switch (phase) {
    case 'applied':
      return step(true, 'is applied');
    case 'failed':
      return step(false, `failed, and is tried again: ${message}`);
    case 'pending':
      return waiting ? [] : step(false, 'is not reported yet');
    case 'ahead':
      return step(false, 'is older than what the agent holds and keeps');
    case 'held':
    case 'removing':
      return [];
  }
}

/** An agent cannot report this by itself: it only gets the stacks that it serves and that have a manifest. */
function dependencyStep({ name, isPlaced }: UnavailableDependency): Step {
  const reason = isPlaced ? 'of which nothing was submitted yet' : 'which the agent does not serve';
  return toStep('depends on', false, `stack ${name}, ${reason}`);
}

/** Finds the last report of a change by somebody else, unless something was applied since. */
function driftOf(events: readonly RecentEvent[]): RecentEvent | undefined {
  const last = events.find(({ outcome }) => ['drifted', 'repaired', 'applied'].includes(outcome));
  return last?.outcome === 'applied' ? undefined : last;
}

function matchSteps(facts: MatchFacts): Step[] {
  const labels = facts.stackLabels.filter((label) => facts.agentLabels.includes(label));
  const annotations = Object.entries(facts.stackAnnotations).filter(
    ([key, value]) => facts.agentAnnotations[key] === value,
  );
  const isSelected = facts.hasSelector && facts.terms.every((term) => term.holds);
  return [
    toStep('target', facts.isTargeted, facts.isTargeted ? 'explicitly targeted' : 'not explicitly targeted'),
    toStep(
      'label',
      labels.length > 0,
      labels.length > 0
        ? `shared: ${labels.join(', ')}`
        : `stack has ${toList(facts.stackLabels)}; agent has ${toList(facts.agentLabels)}`,
    ),
    toStep(
      'annotation',
      annotations.length > 0,
      annotations.length > 0
        ? `shared: ${annotations.map(([key, value]) => `${key}=${value}`).join(', ')}`
        : `stack has ${toList(toPairs(facts.stackAnnotations))}; agent has ${toList(toPairs(facts.agentAnnotations))}`,
    ),
    toStep('selector', isSelected, facts.hasSelector ? termsText(facts) : 'the stack has no selector'),
  ];
}

function termsText({ terms }: MatchFacts): string {
  if (terms.length === 0) return 'matches every registered agent';
  return terms
    .map(({ key, operator, values, holds }) => {
      const list = values.length > 0 ? ` (${values.join(', ')})` : '';
      return `${key} ${operator.replaceAll('_', ' ')}${list}: ${holds ? 'holds' : 'does not hold'}`;
    })
    .join('; ');
}

function onlineStep({ facts, now, onlineForMs }: Situation): Step {
  const { lastHeartbeatAt, incarnation } = facts;
  if (lastHeartbeatAt === null)
    return toStep('agent online', false, incarnation === '0' ? 'the agent has never started' : 'no heartbeat yet');
  const ageMs = Math.max(now.getTime() - lastHeartbeatAt.getTime(), 0);
  return toStep('agent online', ageMs < onlineForMs, `last heartbeat ${Math.round(ageMs / 1000)} s ago`);
}

function summarise({ facts, placement, events, agent }: Situation, steps: readonly Step[]): string {
  const failed = (name: string) => steps.find((step) => step.name === name && step.verdict === 'no');
  if (!placement) {
    const unregistered = failed('registered');
    if (unregistered) return `not meant for ${agent}: ${unregistered.detail}`;
    if (facts.isAgentDeleted) return `not meant for ${agent}: the agent is being deleted`;
    return `not meant for ${agent}: no target, label, annotation or selector matches`;
  }
  const offline = failed('agent online');
  const obstacle = offline ? `; ${offline.detail}` : facts.isPaused ? '; the agent is paused' : '';
  const { message, removalReason, generation, desiredRevision } = placement;
  switch (placement.phase) {
    case 'applied':
      return `revision ${desiredRevision} is applied${shortcoming(placement, events)}`;
    case 'failed':
      return `revision ${desiredRevision} failed, and is tried again: ${message}${obstacle}`;
    case 'removing': {
      const isReported = message && placement.reportedAt && placement.reportedAt >= placement.updatedAt;
      return `being removed (${removalReason}), not acknowledged yet${isReported ? `: ${message}` : ''}${obstacle}`;
    }
    case 'held':
      return `waits for confirm-removal at generation ${generation}: ${message || removalReason}`;
    case 'ahead':
      return 'the agent holds something newer than the broker knows and keeps it, until the next submission, rollback or confirm-removal';
    case 'pending':
      if (desiredRevision === null) return 'nothing was submitted yet';
      return placement.waiting
        ? `revision ${desiredRevision} waits: ${message}${obstacle}`
        : `revision ${desiredRevision} is not reported yet${obstacle}`;
  }
}

/** Says what an applied stack still lacks, the worst first; empty when it is healthy and nobody else changed it. */
function shortcoming({ health, healthMessage }: PlacementRow, events: readonly RecentEvent[]): string {
  const reason = healthMessage ? `: ${healthMessage}` : '';
  switch (health) {
    case 'failed':
    case 'degraded':
      return `, but ${health}${reason}`;
    case 'unknown':
      return `, but its health is unknown${reason}`;
    case 'progressing':
      return `, and not healthy yet${reason}`;
    case 'healthy':
    case null: {
      const drift = driftOf(events);
      return drift?.outcome === 'drifted' ? `, but somebody else has changed it: ${drift.message}` : '';
    }
  }
}

function toStep(name: string, holds: boolean, detail: string): Step {
  return { name, verdict: holds ? 'yes' : 'no', detail };
}

function toList(items: readonly string[]): string {
  return items.length === 0 ? 'none' : items.join(', ');
}

function toPairs(record: Readonly<Record<string, string>>): string[] {
  return Object.entries(record).map(([key, value]) => `${key}=${value}`);
}
