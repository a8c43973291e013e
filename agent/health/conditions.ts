import { at, isRecord, type KubeObject, listAt, textAt } from '../object/kube-object.ts';
import type { Verdict } from './status.ts';

export const healthy: Verdict = { health: 'healthy', message: '' };
export const progressing = (message: string): Verdict => ({ health: 'progressing', message });
export const degraded = (message: string): Verdict => ({ health: 'degraded', message });
export const failed = (message: string): Verdict => ({ health: 'failed', message });

export interface Condition {
  readonly status: string;
  readonly reason: string;
  readonly message: string;
  readonly observedGeneration: number | undefined;
}

/** The condition of that type in an object's status; undefined without. */
export function conditionOf(object: KubeObject, type: string): Condition | undefined {
  const found = listAt(object, 'status', 'conditions').find((condition) => textAt(condition, 'type') === type);
  if (!isRecord(found)) return undefined;
  const { observedGeneration } = found;
  return {
    status: textAt(found, 'status') ?? '',
    reason: textAt(found, 'reason') ?? '',
    message: textAt(found, 'message') ?? '',
    observedGeneration: typeof observedGeneration === 'number' ? observedGeneration : undefined,
  };
}

export function isTrue(condition: Condition | undefined): boolean {
  return condition?.status === 'True';
}

export function isFalse(condition: Condition | undefined): boolean {
  return condition?.status === 'False';
}

/** Undefined once its controller has seen the object as it is; `always` for kinds whose controller must say so. */
export function observed(object: KubeObject, always = false): Verdict | undefined {
  const generation = Number(object.metadata.generation ?? 0);
  const seen = at(object, 'status', 'observedGeneration');
  if (seen === undefined && !always) return undefined;
  if (Number(seen ?? 0) >= generation) return undefined;
  return progressing('its controller has not seen the last change yet');
}

/** "what: why", or only what. */
export function words(what: string, why: string | undefined): string {
  return why ? `${what}: ${why}` : what;
}

export function count(object: KubeObject, ...path: readonly string[]): number {
  const value = at(object, ...path);
  return typeof value === 'number' ? value : 0;
}
