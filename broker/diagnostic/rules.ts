import type { ObjectName } from '../object-name.ts';
import { Refusal } from '../refusal.ts';

export type DiagnosticState = 'pending' | 'claimed' | 'done' | 'failed';

/** How many questions may wait for one agent: of one generator's stacks, so that none takes all places, and in all. */
const waitingOfGenerator = 10;
const waitingOfAgent = 100;

/** Refuses one more question than an agent should have to answer. */
export function requireRoom(agent: string, waiting: { readonly generator: number; readonly all: number }): void {
  if (waiting.generator < waitingOfGenerator && waiting.all < waitingOfAgent) return;
  throw new Refusal(
    'resource_exhausted',
    `agent "${agent}" has enough diagnostics to answer: wait until some are done`,
    {
      field: 'agent',
      reason: 'TOO_MANY_DIAGNOSTICS',
    },
  );
}

/** The longest names that Kubernetes takes: group and version, kind, namespace, name. */
const longest = { apiVersion: 317, kind: 63, namespace: 63, name: 253 } as const satisfies Record<
  keyof ObjectName,
  number
>;

/** Refuses what cannot name an object. */
export function checkObject(object: ObjectName): ObjectName {
  const bad = (message: string) => new Refusal('invalid_argument', `object: ${message}`, { field: 'object' });
  if (object.kind === '' || object.name === '') throw bad('needs a kind and a name');
  for (const field of Object.keys(longest) as (keyof ObjectName)[])
    if (object[field].length > longest[field]) throw bad(`${field} is longer than ${longest[field]} characters`);
  return object;
}

export function isAnswered(state: DiagnosticState): boolean {
  return state === 'done' || state === 'failed';
}

/** Whether a start of an agent may answer. One that is not asked any more, because it has answered before, is told so without harm. */
export function requireClaim(row: { readonly claimed_by: string | null }, incarnation: bigint): void {
  if (row.claimed_by === String(incarnation)) return;
  throw new Refusal('failed_precondition', 'the diagnostic was not claimed by this start of the agent', {
    field: 'id',
    reason: 'NOT_CLAIMED',
  });
}
