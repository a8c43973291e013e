import { InvalidArgumentError } from 'commander';

export type OutputFormat = 'table' | 'json' | 'yaml' | 'name';

/** `wide` is a table with more in it; `jsonpath=` picks from the JSON. */
export type OutputOption = OutputFormat | 'wide' | `jsonpath=${string}`;

/** For `-o` of commander. */
export function parseOutput(text: string): OutputOption {
  if (/^(table|wide|json|yaml|name|jsonpath=.*)$/s.test(text)) return text as OutputOption;
  throw new InvalidArgumentError('Allowed choices are table, wide, json, yaml, name, jsonpath=TEMPLATE.');
}
