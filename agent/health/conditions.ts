import { isRecord, type KubeObject, listAt, textAt, valueAt } from '../object/kube-object.ts';
import type { Verdict } from './status.ts';

export const healthy: Verdict = { health: 'healthy', message: '' };
export const progressing = (message: string): Verdict => ({ health: 'progressing', message });
export const degraded = (message: string): Verdict => ({ health: 'degraded', message });
export const failed = (message: string): Verdict => ({ health: 'failed', message });

/** The health of an object whose status is about an earlier generation. */
export const notSeen = progressing('its controller has not seen the last change yet');

/** A condition of an object's status. */
export interface Condition {
  readonly status: string;
  readonly reason: string;
  readonly message: string;
  readonly observedGeneration: number | undefined;
}

/** Returns the condition of a type; undefined when the status has none. */
export function conditionOf(object: KubeObject, type: string): Condition | undefined {
  const condition = listAt(object, 'status', 'conditions').find((candidate) => textAt(candidate, 'type') === type);
  if (!isRecord(condition)) return undefined;
  const { observedGeneration } = condition;
  return {
    status: textAt(condition, 'status') ?? '',
    reason: textAt(condition, 'reason') ?? '',
    message: textAt(condition, 'message') ?? '',
    observedGeneration: typeof observedGeneration === 'number' ? observedGeneration : undefined,
  };
}

/** Returns whether the condition exists and its status is True. */
export function isTrue(condition: Condition | undefined): boolean {
  return condition?.status === 'True';
}

/** Returns whether the condition exists and its status is False. */
export function isFalse(condition: Condition | undefined): boolean {
  return condition?.status === 'False';
}

/**
 * Returns `progressing` until the controller has observed the object's last change, and undefined then. An object without an
 * observed generation counts as observed, unless its kind's controllers always write one (`isRequired`).
 */
export function unobserved(object: KubeObject, { isRequired = false } = {}): Verdict | undefined {
  const generation = Number(object.metadata.generation ?? 0);
  const observed = valueAt(object, 'status', 'observedGeneration');
  if (observed === undefined && !isRequired) return undefined;
  if (Number(observed ?? 0) >= generation) return undefined;
  return notSeen;
}

/** Joins a statement and its reason with a colon; returns the statement alone without a reason. */
export function withReason(statement: string, reason: string | undefined): string {
  return reason ? `${statement}: ${reason}` : statement;
}

/** Returns the number at a path of names; 0 when there is none. */
export function countAt(object: KubeObject, ...path: readonly string[]): number {
  const value = valueAt(object, ...path);
  return typeof value === 'number' ? value : 0;
}
