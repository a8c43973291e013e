import { InvalidArgumentError } from 'commander';

/** The form in which a command prints its result. */
export type OutputFormat = 'table' | 'json' | 'yaml' | 'name';

/** A value of `-o`: `wide` adds columns to the table, and `jsonpath=` extracts values from the JSON. */
export type OutputOption = OutputFormat | 'wide' | `jsonpath=${string}`;

/** Parses the value of `-o`; for commander. */
export function parseOutput(text: string): OutputOption {
  if (/^(table|wide|json|yaml|name|jsonpath=.*)$/s.test(text)) return text as OutputOption;
  throw new InvalidArgumentError('Allowed choices are table, wide, json, yaml, name, jsonpath=TEMPLATE.');
}
