import type { Command } from 'commander';
import { collect } from './collect.ts';

/** The options of `manifestOptions`. */
export interface ManifestOptions {
  readonly filename: readonly string[];
  readonly recursive?: boolean;
}

/** Adds the options that name the files of a submission. */
export function manifestOptions(command: Command): Command {
  return command
    .requiredOption(
      '-f, --filename <file>',
      'YAML or JSON file, folder of such files, or - for standard input; repeatable',
      collect,
    )
    .option('-R, --recursive', 'include subfolders');
}
