import type { Command } from 'commander';
import { collect } from './collect.ts';

/** The options of `manifestOptions`. */
export interface ManifestOptions {
  readonly filename: readonly string[];
  readonly recursive?: boolean;
  /** Empty or false for none; undefined keeps that of the current deployment. */
  readonly namespace?: string | false;
}

/** Adds the options that name the files of a submission and the default namespace of its objects. */
export function manifestOptions(command: Command): Command {
  return command
    .requiredOption(
      '-f, --filename <file>',
      'YAML or JSON file, folder of such files, or - for standard input; repeatable',
      collect,
    )
    .option('-R, --recursive', 'include subfolders')
    .option(
      '-n, --namespace <namespace>',
      'namespace of the objects that name none; without this option, that of the current revision stays',
    )
    .option('--no-namespace', 'leave such objects to the default namespace of each agent');
}

/** Returns the default namespace as a submission has it: '' for none, undefined to keep the current one. */
export function namespaceOf({ namespace }: Pick<ManifestOptions, 'namespace'>): string | undefined {
  return namespace === false ? '' : namespace;
}
