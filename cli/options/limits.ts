import type { Command } from 'commander';
import { Option } from 'commander';
import type { Generator, GeneratorQuota, GeneratorRules } from '../../gen/brokkr/v1/generator_pb.ts';
import type { Field } from '../format/describe.ts';
import { collect } from './collect.ts';
import { parseCount } from './numbers.ts';
import { parseSize, sizeText } from './size.ts';

/** Options for the rules and the quota of a generator. An option that is given replaces the previous value. */
export interface LimitOptions {
  readonly allowNamespace?: string[];
  readonly denyNamespace?: string[];
  readonly allowKind?: string[];
  readonly denyKind?: string[];
  readonly clusterScoped?: boolean;
  readonly quotaStacks?: number;
  readonly quotaDeployments?: number;
  readonly quotaBytes?: bigint;
}

type MergedRules = Pick<
  GeneratorRules,
  'allowNamespaces' | 'denyNamespaces' | 'allowKinds' | 'denyKinds' | 'clusterScoped'
>;
type MergedQuota = Pick<GeneratorQuota, 'stacks' | 'deploymentsPerStack' | 'manifestBytes'>;

/** Adds the options for the rules and the quota of a generator. */
export function limitOptions(command: Command): Command {
  const list = (flags: string, description: string) =>
    new Option(flags, `${description} (repeatable; "" for none)`).argParser(collect);
  return command
    .addOption(list('--allow-namespace <name>', 'allow objects in this namespace, or in those with a prefix*'))
    .addOption(list('--deny-namespace <name>', 'deny objects in this namespace, even if it is allowed'))
    .addOption(list('--allow-kind <kind>', 'allow this kind, such as ConfigMap, apps/Deployment or apps/*'))
    .addOption(list('--deny-kind <kind>', 'deny this kind, even if it is allowed'))
    .option('--cluster-scoped', 'allow cluster-scoped objects')
    .option('--no-cluster-scoped', 'deny cluster-scoped objects (the default)')
    .option('--quota-stacks <count>', 'maximum number of stacks; 0 for the default', parseCount)
    .option('--quota-deployments <count>', 'revisions to keep of each stack; 0 for the default', parseCount)
    .option('--quota-bytes <size>', 'maximum size of all kept manifests, such as 500Mi; 0 for the default', parseSize);
}

/** Merges options into the existing rules; undefined when no option changes them. */
export function mergeRules(options: LimitOptions, previous?: MergedRules): MergedRules | undefined {
  const { allowNamespace, denyNamespace, allowKind, denyKind, clusterScoped } = options;
  const ruleOptions = [allowNamespace, denyNamespace, allowKind, denyKind, clusterScoped];
  if (ruleOptions.every((option) => option === undefined)) return undefined;
  const list = (texts: string[] | undefined, previous: string[] | undefined) =>
    texts === undefined ? (previous ?? []) : texts.filter((text) => text !== '');
  return {
    allowNamespaces: list(allowNamespace, previous?.allowNamespaces),
    denyNamespaces: list(denyNamespace, previous?.denyNamespaces),
    allowKinds: list(allowKind, previous?.allowKinds),
    denyKinds: list(denyKind, previous?.denyKinds),
    clusterScoped: clusterScoped ?? previous?.clusterScoped ?? false,
  };
}

/** Merges options into the existing quota; undefined when no option changes it. */
export function mergeQuota(options: LimitOptions, previous?: MergedQuota): MergedQuota | undefined {
  const { quotaStacks, quotaDeployments, quotaBytes } = options;
  if (quotaStacks === undefined && quotaDeployments === undefined && quotaBytes === undefined) return undefined;
  return {
    stacks: quotaStacks ?? previous?.stacks ?? 0,
    deploymentsPerStack: quotaDeployments ?? previous?.deploymentsPerStack ?? 0,
    manifestBytes: quotaBytes ?? previous?.manifestBytes ?? 0n,
  };
}

/** Describes the rules and the quota of a generator. */
export function limitFields({ rules, quota, system }: Generator): Field[] {
  if (system) return [['Limits', 'none (the system generator owns the stacks of admins)']];
  const list = (texts: readonly string[] | undefined, fallback: string) => texts?.join(', ') || fallback;
  return [
    ['Allowed namespaces', list(rules?.allowNamespaces, 'any')],
    ['Denied namespaces', list(rules?.denyNamespaces, 'none')],
    ['Allowed kinds', list(rules?.allowKinds, 'any')],
    ['Denied kinds', list(rules?.denyKinds, 'none')],
    ['Cluster-scoped objects', rules?.clusterScoped ? 'allowed' : 'not allowed'],
    ['Maximum stacks', quota?.stacks ? String(quota.stacks) : '1000 (default)'],
    ['Revisions per stack', quota?.deploymentsPerStack ? String(quota.deploymentsPerStack) : '100 (default)'],
    ['Maximum manifest size', quota?.manifestBytes ? sizeText(quota.manifestBytes) : '1Gi (default)'],
  ];
}
