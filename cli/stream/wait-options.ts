import { type Command, Option } from 'commander';
import { parseDuration } from '../options/duration.ts';
import { parseWaitCondition, type WaitCondition } from './wait.ts';

const defaultTimeoutMs = 300_000;

/** The options of `waitOptions`. */
export interface WaitOptions {
  readonly wait?: WaitCondition;
  /** Milliseconds. */
  readonly timeout: number;
}

/** Adds the options --wait and --timeout. */
export function waitOptions(command: Command): Command {
  return command
    .addOption(
      new Option(
        '--wait [condition]',
        'wait until every agent that serves the stack reports it as healthy, or with --wait=applied as applied',
      )
        .preset('healthy')
        .argParser(parseWaitCondition),
    )
    .addOption(
      new Option('--timeout <duration>', 'maximum time for --wait')
        .default(defaultTimeoutMs, '5m')
        .argParser(parseDuration),
    );
}
