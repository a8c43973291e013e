import { Refusal } from '../refusal.ts';
import type { NewAgent } from './create.ts';

/** What was said about an agent before it is there, and what became of it. */
export interface EnrollmentRow extends NewAgent {
  /** SHA-256 of what the agent presented that has used it; null before. */
  readonly nonce: Buffer | null;
  /** The agent that was made; null before, and when it is gone. */
  readonly agent_id: string | null;
  /** Whether that agent has started, which shows that it has its key. */
  readonly started: boolean;
}

const usualTtlMs = 60 * 60_000;

/** When a token that is made now ends. */
export function endOf(ttlMs: number | undefined, now: Date): Date {
  return new Date(now.getTime() + (ttlMs ?? usualTtlMs));
}

/**
 * What a call to enroll comes to: a new agent, or, for the same caller whose answer was lost, another key of the agent that was made.
 * A token is used once: another caller is refused, and so is everybody when the agent has started or is gone.
 */
export function decide(
  enrollment: EnrollmentRow,
  nonce: Buffer,
): { readonly make: 'agent' } | { readonly make: 'key'; readonly agentId: string } {
  if (enrollment.nonce === null) return { make: 'agent' };
  if (enrollment.agent_id !== null && !enrollment.started && enrollment.nonce.equals(nonce)) {
    return { make: 'key', agentId: enrollment.agent_id };
  }
  throw new Refusal(
    'failed_precondition',
    `the enrollment of agent "${enrollment.name}" was used: if not by this agent, somebody else has its token`,
    { reason: 'ENROLLMENT_USED' },
  );
}
