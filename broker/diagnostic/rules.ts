import type { ObjectId } from '../../contract/object-key.ts';
import { Refusal } from '../refusal.ts';

export type DiagnosticState = 'pending' | 'claimed' | 'done' | 'failed';

/** Unanswered diagnostics that one agent may have: about stacks of one generator, so that none takes all places, and in total. */
const maxPerGenerator = 10;
const maxPerAgent = 100;

/** Refuses a diagnostic for an agent that has too many to answer. */
export function requireRoom(agent: string, waiting: { readonly generator: number; readonly total: number }): void {
  if (waiting.generator < maxPerGenerator && waiting.total < maxPerAgent) return;
  throw new Refusal(
    'resource_exhausted',
    `agent "${agent}" has enough diagnostics to answer: wait until some are done`,
    {
      field: 'agent',
      reason: 'TOO_MANY_DIAGNOSTICS',
    },
  );
}

/** Lengths of the longest names that Kubernetes accepts: group and version, kind, namespace, name. */
const maxLengths = { apiVersion: 317, kind: 63, namespace: 63, name: 253 } as const satisfies Record<
  keyof ObjectId,
  number
>;

/** Returns an object's names, or refuses those that cannot name an object. */
export function checkObject(object: ObjectId): ObjectId {
  const bad = (message: string) => new Refusal('invalid_argument', `object: ${message}`, { field: 'object' });
  if (object.kind === '' || object.name === '') throw bad('needs a kind and a name');
  for (const field of Object.keys(maxLengths) as (keyof ObjectId)[])
    if (object[field].length > maxLengths[field]) throw bad(`${field} is longer than ${maxLengths[field]} characters`);
  return object;
}

export function isAnswered(state: DiagnosticState): boolean {
  return state === 'done' || state === 'failed';
}

/** Refuses the answer of a start of the agent that has not claimed the diagnostic. */
export function requireClaim(row: { readonly claimedBy: string | null }, incarnation: bigint): void {
  if (row.claimedBy === String(incarnation)) return;
  throw new Refusal('failed_precondition', 'the diagnostic was not claimed by this start of the agent', {
    field: 'id',
    reason: 'NOT_CLAIMED',
  });
}
