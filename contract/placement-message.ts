import { Health } from '../gen/brokkr/v1/health_pb.ts';
import { type Placement, PlacementPhase } from '../gen/brokkr/v1/placement_pb.ts';

/**
 * Returns what is said of a placement beside its phase and health: the reason for its health once the deployment is applied, before that
 * the agent's message about the phase. CLI and console say the same.
 */
export function placementMessage({
  phase,
  message,
  health,
  healthMessage,
}: Pick<Placement, 'phase' | 'message' | 'health' | 'healthMessage'>): string {
  const isAboutHealth = phase === PlacementPhase.APPLIED && healthMessage !== '' && health !== Health.HEALTHY;
  return isAboutHealth ? healthMessage : message;
}
