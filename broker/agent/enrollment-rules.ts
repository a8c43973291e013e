import { Refusal } from '../refusal.ts';
import type { NewAgent } from './create.ts';

/** An enrollment: what an admin decided about the agent, and whether the token was used. */
export interface EnrollmentRow extends NewAgent {
  /** SHA-256 of the nonce of the agent that used the token; null before. */
  readonly nonce: Buffer | null;
  /** Id of the agent that was created; null before, and after the agent was deleted. */
  readonly agentId: string | null;
  /** True once that agent has started, which proves that it has its key. */
  readonly started: boolean;
}

const defaultTtlMs = 60 * 60_000;

/** Returns the time at which a token issued now expires. */
export function expiryOf(ttlMs: number | undefined, now: Date): Date {
  return new Date(now.getTime() + (ttlMs ?? defaultTtlMs));
}

/**
 * Decides what an enrollment call creates: a new agent, or, for the same caller whose answer was lost, another key of that agent. A
 * token is used once: another caller is refused, and so is everybody once the agent has started or is gone.
 */
export function decideEnrollment(
  enrollment: EnrollmentRow,
  nonce: Buffer,
): { readonly create: 'agent' } | { readonly create: 'key'; readonly agentId: string } {
  if (enrollment.nonce === null) return { create: 'agent' };
  if (enrollment.agentId !== null && !enrollment.started && enrollment.nonce.equals(nonce)) {
    return { create: 'key', agentId: enrollment.agentId };
  }
  throw new Refusal(
    'failed_precondition',
    `the enrollment of agent "${enrollment.name}" was used: if not by this agent, somebody else has its token`,
    { reason: 'ENROLLMENT_USED' },
  );
}
