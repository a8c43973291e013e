import { agentObjectReason, defaultAgentNamespace } from '../../contract/agent-objects.ts';
import { denialReason } from '../../contract/generator-limits.ts';
import { type GeneratorRules, limitsOf, quotaOf } from '../generator/rules.ts';
import { andMore, Refusal } from '../refusal.ts';
import type { ObjectIdentity } from './object.ts';

/**
 * Refuses objects that the stack's generator may not deploy, whoever submits them: by its rules, and in the agent's own namespace. The
 * agents would refuse them too.
 */
export function requireAllowed(generator: GeneratorRules, objects: readonly ObjectIdentity[]): void {
  const limits = limitsOf(generator);
  const violations = objects.flatMap((object, index) => {
    const reason =
      (generator.system ? undefined : agentObjectReason(object, defaultAgentNamespace)) ?? denialReason(limits, object);
    const name = `${object.kind} ${object.namespace === '' ? '' : `${object.namespace}/`}${object.name}`;
    return reason === undefined ? [] : [{ field: `manifest.objects[${index}]`, description: `${name}: ${reason}` }];
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

/** Refuses a deployment if, with the oldest ones already trimmed, its generator keeps more bytes than its quota allows. */
export function requireWithinQuota(generator: GeneratorRules, keptBytes: bigint): void {
  const { manifestBytes } = quotaOf(generator);
  if (keptBytes <= manifestBytes) return;
  throw new Refusal(
    'resource_exhausted',
    `generator "${generator.name}" would keep ${keptBytes} bytes of deployments: its quota is ${manifestBytes}`,
    { field: 'manifest', reason: 'QUOTA_BYTES' },
  );
}
