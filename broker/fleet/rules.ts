import type { AgentRow } from '../agent/rules.ts';
import type { HealthCounts, HealthName } from '../health/rules.ts';
import type { Phase } from '../placement/rules.ts';

export const agentStates = ['online', 'offline', 'paused', 'never_started', 'draining'] as const;
export type AgentState = (typeof agentStates)[number];

export type PhaseCounts = Readonly<Record<Phase, number>>;

/** An agent with a summary of its state and placements. */
export interface MemberRow extends AgentRow {
  readonly state: AgentState;
  /** The worst health of its placements; null when none was reported. */
  readonly health: HealthName | null;
  readonly phases: PhaseCounts;
}

/** Counts of the whole fleet. */
export interface FleetRow {
  readonly agents: Partial<Record<AgentState, number>>;
  /** Agents that are online and cannot reach their cluster. */
  readonly clustersUnreachable: number;
  readonly stacks: number;
  readonly phases: Partial<Record<Phase, number>>;
  readonly healths: HealthCounts;
  /** Start of the wait of the oldest placement that is not applied. */
  readonly oldestPendingSince: Date | null;
}

/** Counts of work that is waiting. */
export interface Backlog {
  /** Audit entries without a seal. */
  readonly unsealed: number;
  /** Age of the oldest of them; 0 for none. */
  readonly unsealedSeconds: number;
  /** Diagnostics that no agent has answered. */
  readonly diagnostics: number;
}

/** Returns, as text, the part of a member whose change is sent to watchers. It excludes the time and latency of heartbeats. */
export function changeText(member: MemberRow): string {
  const { lastHeartbeatAt: _at, clusterLatencyMs: _ms, ...rest } = member;
  return JSON.stringify(rest);
}

/** Cuts items into portions of at most `max.items` items and about `max.bytes` bytes, but at least one item. */
export function* portions<T>(
  items: readonly T[],
  sizeOf: (item: T) => number,
  max: { readonly items: number; readonly bytes: number },
): Generator<T[]> {
  let portion: T[] = [];
  let bytes = 0;
  for (const item of items) {
    const size = sizeOf(item);
    if (portion.length === max.items || (portion.length > 0 && bytes + size > max.bytes)) {
      yield portion;
      portion = [];
      bytes = 0;
    }
    portion.push(item);
    bytes += size;
  }
  if (portion.length > 0) yield portion;
}
