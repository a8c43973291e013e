import type { AgentRow } from '../agent/rules.ts';
import type { HealthCounts, HealthName } from '../health/rules.ts';
import type { Phase } from '../placement/rules.ts';

export const agentStates = ['online', 'offline', 'paused', 'never_started', 'draining'] as const;
export type AgentState = (typeof agentStates)[number];

export type PhaseCounts = Readonly<Record<Phase, number>>;

/** An agent with what an operator looks for first. */
export interface MemberRow extends AgentRow {
  readonly state: AgentState;
  /** The worst of what it serves; null when nothing was reported. */
  readonly health: HealthName | null;
  readonly phases: PhaseCounts;
}

/** Everything, counted. */
export interface FleetRow {
  readonly agents: Partial<Record<AgentState, number>>;
  readonly cluster_unreachable: number;
  readonly stacks: number;
  readonly phases: Partial<Record<Phase, number>>;
  readonly healths: HealthCounts;
  readonly oldest_pending: Date | null;
}

/** What waits to be done. */
export interface Backlog {
  readonly unsealed: number;
  /** Of the oldest entry of the record that has no seal; 0 for none. */
  readonly unsealedSeconds: number;
  readonly diagnostics: number;
}

/** What of a member counts as a change, as text: the time and latency of a heartbeat alone do not. */
export function changing(member: MemberRow): string {
  const { lastHeartbeatAt: _at, clusterLatencyMs: _ms, ...rest } = member;
  return JSON.stringify(rest);
}

/** Cuts into parts of at most so many items, and about so many bytes, but one item at least. */
export function* portions<T>(
  items: readonly T[],
  sizeOf: (item: T) => number,
  most: { readonly items: number; readonly bytes: number },
): Generator<T[]> {
  let portion: T[] = [];
  let bytes = 0;
  for (const item of items) {
    const size = sizeOf(item);
    if (portion.length === most.items || (portion.length > 0 && bytes + size > most.bytes)) {
      yield portion;
      portion = [];
      bytes = 0;
    }
    portion.push(item);
    bytes += size;
  }
  if (portion.length > 0) yield portion;
}
