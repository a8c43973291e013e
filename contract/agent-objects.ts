import type { LimitedObject } from './generator-limits.ts';
import { kindName } from './object-key.ts';

/** The namespace that an agent keeps its Lease, key and inventories in. */
export interface AgentNamespace {
  readonly name: string;
  /** The agent is limited to this namespace, so that its stacks are in it too. */
  readonly isShared: boolean;
  /** Name of the Secret with the agent's key. */
  readonly keySecret: string;
}

/** The namespace in which agents run unless they are configured otherwise; a broker knows no other. */
export const defaultAgentNamespace: AgentNamespace = {
  name: 'brokkr',
  isShared: false,
  keySecret: 'brokkr-agent-key',
};

/** Prefixes of the names of the agent's own objects: its Lease, Secrets, account and workload, and its inventories. */
const ownPrefixes = ['brokkr-agent', 'brokkr-inv-'];

/** Kinds that limit everything in a namespace, the agent too: quotas, and policies of Kubernetes and of others. */
const limitingKind = /(^|\/)(LimitRange|\w*Quota|\w*Policy)$/;

/**
 * Says why an object is refused to every generator but the system one, because with it a tenant could read the agent's key, stop the
 * agent for everybody or forge its inventories; undefined when it is not. The rights in the cluster do not matter.
 */
export function agentObjectReason(subject: LimitedObject, agent: AgentNamespace): string | undefined {
  const kind = kindName(subject);
  if (kind === 'Namespace' && subject.name === agent.name) return `namespace ${agent.name} is the agent’s own`;
  if (subject.namespace !== agent.name) return undefined;
  if (!agent.isShared) return `namespace ${agent.name} is the agent’s own`;
  const isKey = kind === 'Secret' && subject.name === agent.keySecret;
  if (isKey || ownPrefixes.some((prefix) => subject.name.startsWith(prefix)))
    return 'the name is reserved for the agent';
  return limitingKind.test(kind) ? `kind ${kind} would limit the agent, which runs in the same namespace` : undefined;
}
