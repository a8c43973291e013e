import { Health } from '../gen/brokkr/v1/health_pb.ts';
import { type Placement, PlacementPhase } from '../gen/brokkr/v1/placement_pb.ts';
import type { Problem } from '../gen/brokkr/v1/problem_pb.ts';

/**
 * Returns what is said of a placement beside its phase and health: the reason for its health once the deployment is applied, before that
 * the message about the phase; and that the agent is paused, in whatever phase. CLI and console say the same.
 */
export function placementMessage({
  phase,
  message,
  health,
  healthMessage,
  agentPaused,
}: Pick<Placement, 'phase' | 'message' | 'health' | 'healthMessage' | 'agentPaused'>): string {
  const isAboutHealth = phase === PlacementPhase.APPLIED && healthMessage !== '' && health !== Health.HEALTHY;
  const reason = isAboutHealth ? healthMessage : message;
  return agentPaused && reason !== pausedMessage ? [reason, pausedMessage].filter(Boolean).join('; ') : reason;
}

/** Returns what is said of a problem beside its state: an agent that works and has not reported yet has no message. */
export function problemMessage({ phase, message }: Pick<Problem, 'phase' | 'message'>): string {
  return message === '' && phase === PlacementPhase.PENDING ? 'not reported yet' : message;
}

/** Answers whether the state of a problem is a health: the placements are applied, and not healthy. */
export function isHealthProblem({ phase, health }: Pick<Problem, 'phase' | 'health'>): boolean {
  return phase === PlacementPhase.APPLIED && health !== Health.UNSPECIFIED;
}

/** The broker says the same of a pending placement. */
const pausedMessage = 'the agent is paused';
