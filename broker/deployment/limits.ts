import { denialReason } from '../../contract/generator-limits.ts';
import { type GeneratorRow, limitsOf, quotaOf } from '../generator/rules.ts';
import { andMore, Refusal } from '../refusal.ts';
import type { ObjectIdentity } from './object.ts';

/** Refuses objects that the stack's generator may not deploy, whoever submits them: agents would refuse them too. */
export function requireAllowed(generator: GeneratorRow, objects: readonly ObjectIdentity[]): void {
  const limits = limitsOf(generator);
  const violations = objects.flatMap((object, at) => {
    const reason = denialReason(limits, object);
    const name = `${object.kind} ${object.namespace === '' ? '' : `${object.namespace}/`}${object.name}`;
    return reason === undefined ? [] : [{ field: `manifest.objects[${at}]`, description: `${name}: ${reason}` }];
  });
  const [first] = violations;
  if (!first) return;
  throw new Refusal(
    'permission_denied',
    `generator "${generator.name}" may not deploy ${first.description}${andMore(violations)}`,
    {
      reason: 'NOT_ALLOWED',
      violations,
    },
  );
}

/** Refuses a deployment with which, after the oldest were trimmed, the generator keeps more bytes than its quota allows. */
export function requireWithinQuota(generator: GeneratorRow, keptBytes: bigint): void {
  const { manifestBytes } = quotaOf(generator);
  if (keptBytes <= manifestBytes) return;
  throw new Refusal(
    'resource_exhausted',
    `generator "${generator.name}" would keep ${keptBytes} bytes of deployments: its quota is ${manifestBytes}`,
    { field: 'manifest', reason: 'QUOTA_BYTES' },
  );
}
