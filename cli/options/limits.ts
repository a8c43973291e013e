import type { Command } from 'commander';
import { Option } from 'commander';
import type { Generator, GeneratorQuota, GeneratorRules } from '../../gen/brokkr/v1/generator_pb.ts';
import type { Field } from '../format/describe.ts';
import { collect } from './collect.ts';
import { parseCount } from './numbers.ts';
import { parseSize, sizeText } from './size.ts';

/** Options about what a generator may deploy and keep; each that is given replaces what was there. */
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

export function limitOptions(command: Command): Command {
  const list = (flags: string, what: string) => new Option(flags, `${what} (repeat; "" for none)`).argParser(collect);
  return command
    .addOption(list('--allow-namespace <name>', 'its objects may be in this namespace, or in those with a prefix*'))
    .addOption(list('--deny-namespace <name>', 'they may not, whatever is allowed'))
    .addOption(list('--allow-kind <kind>', 'it may deploy ConfigMap, apps/Deployment, apps/*, …'))
    .addOption(list('--deny-kind <kind>', 'it may not, whatever is allowed'))
    .option('--cluster-scoped', 'it may deploy cluster-scoped objects')
    .option('--no-cluster-scoped', 'it may not (the default)')
    .option('--quota-stacks <count>', 'at most so many stacks; 0 for the default', parseCount)
    .option('--quota-deployments <count>', 'keep so many revisions of each stack; 0 for the default', parseCount)
    .option('--quota-bytes <size>', 'keep manifests of so many bytes, such as 500Mi; 0 for the default', parseSize);
}

/** What the rules become; undefined when no option is about them. */
export function mergeRules(options: LimitOptions, before?: MergedRules): MergedRules | undefined {
  const { allowNamespace, denyNamespace, allowKind, denyKind, clusterScoped } = options;
  const given = [allowNamespace, denyNamespace, allowKind, denyKind, clusterScoped];
  if (given.every((option) => option === undefined)) return undefined;
  const list = (texts: string[] | undefined, old: string[] | undefined) =>
    texts === undefined ? (old ?? []) : texts.filter((text) => text !== '');
  return {
    allowNamespaces: list(allowNamespace, before?.allowNamespaces),
    denyNamespaces: list(denyNamespace, before?.denyNamespaces),
    allowKinds: list(allowKind, before?.allowKinds),
    denyKinds: list(denyKind, before?.denyKinds),
    clusterScoped: clusterScoped ?? before?.clusterScoped ?? false,
  };
}

/** What the quota becomes; undefined when no option is about it. */
export function mergeQuota(options: LimitOptions, before?: MergedQuota): MergedQuota | undefined {
  const { quotaStacks, quotaDeployments, quotaBytes } = options;
  if (quotaStacks === undefined && quotaDeployments === undefined && quotaBytes === undefined) return undefined;
  return {
    stacks: quotaStacks ?? before?.stacks ?? 0,
    deploymentsPerStack: quotaDeployments ?? before?.deploymentsPerStack ?? 0,
    manifestBytes: quotaBytes ?? before?.manifestBytes ?? 0n,
  };
}

/** What a generator may deploy and keep, for people. */
export function limitFields({ rules, quota, system }: Generator): Field[] {
  if (system) return [['Limits', 'none: these are the stacks of the admins']];
  const list = (texts: readonly string[] | undefined, none: string) => texts?.join(', ') || none;
  return [
    ['Allowed namespaces', list(rules?.allowNamespaces, 'any')],
    ['Denied namespaces', list(rules?.denyNamespaces, 'none')],
    ['Allowed kinds', list(rules?.allowKinds, 'any')],
    ['Denied kinds', list(rules?.denyKinds, 'none')],
    ['Cluster-scoped objects', rules?.clusterScoped ? 'allowed' : 'not allowed'],
    ['Most stacks', quota?.stacks ? String(quota.stacks) : 'the default (1000)'],
    ['Revisions kept of each', quota?.deploymentsPerStack ? String(quota.deploymentsPerStack) : 'the default (100)'],
    ['Most bytes of manifests', quota?.manifestBytes ? sizeText(quota.manifestBytes) : 'the default (1Gi)'],
  ];
}
