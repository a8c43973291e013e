import type { HealthName } from '../health/rules.ts';

export const phases = ['pending', 'applied', 'failed', 'removing', 'held', 'ahead'] as const;

/** Age from which an agent's heartbeat no longer counts: three intervals of 30 s, so that two heartbeats may be lost. */
export const onlineForMs = 90_000;

/** The progress of an agent with a stack. It follows from the placement and the agent's last report; nothing stores it. */
export type Phase = (typeof phases)[number];

/** A placement as readers see it: what is desired beside what the agent last reported. */
export interface PlacementRow {
  readonly agentId: string;
  readonly agent: string;
  readonly stackId: string;
  /** "generator/name". */
  readonly stack: string;
  readonly state: PlacementState;
  readonly generation: string;
  readonly reasons: readonly MatchReason[];
  readonly desiredId: string | null;
  readonly desiredRevision: number | null;
  readonly phase: Phase;
  readonly reportedId: string | null;
  readonly reportedRevision: number | null;
  /** The agent's message; of a pending placement, what it waits for. */
  readonly message: string | null;
  readonly agentPaused: boolean;
  readonly reportedAt: Date | null;
  readonly removalReason: string;
  readonly held: boolean;
  /** Objects whose deletion the agent holds back. */
  readonly heldKeys: readonly string[];
  readonly updatedAt: Date;
  /** The order of the agent's target state entry for the stack. */
  readonly order: string;
  /** Health of what is desired now; null until the agent has reported it. */
  readonly health: HealthName | null;
  readonly healthMessage: string | null;
  /** The agent waits for something else before it applies what is desired now; the message names it. */
  readonly waiting: boolean;
}

export type PlacementState = 'active' | 'removing';

/** One of the reasons for which a stack matches an agent. */
export interface MatchReason {
  readonly kind: 'target' | 'label' | 'annotation' | 'selector';
  /** The shared label or annotation; empty for the other kinds. */
  readonly detail: string;
}
