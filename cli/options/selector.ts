import { create } from '@bufbuild/protobuf';
import { InvalidArgumentError } from 'commander';
import {
  type LabelSelector,
  type LabelSelectorRequirement,
  LabelSelectorRequirementSchema,
  LabelSelectorSchema,
  SelectorOperator,
} from '../../gen/brokkr/v1/stack_pb.ts';

export const selectorHelp = `agents by label and annotation, as kubectl -l: 'zone in (a,b),tier=web,!gpu'; '*' is all`;

const { IN, NOT_IN, EXISTS, DOES_NOT_EXIST } = SelectorOperator;
const keyPattern = '[A-Za-z0-9](?:[-A-Za-z0-9_./]*[A-Za-z0-9])?';
const setTerm = new RegExp(String.raw`^(${keyPattern})\s+(in|notin)\s*\(([^()]*)\)$`);
const equalityTerm = new RegExp(String.raw`^(${keyPattern})\s*(==|=|!=)\s*([^=!(),]*)$`);
const existenceTerm = new RegExp(String.raw`^(!?)\s*(${keyPattern})$`);

/** Reads a selector as kubectl's `-l` does; for an option of commander. */
export function parseSelector(text: string): LabelSelector {
  if (text.trim() === '*') return create(LabelSelectorSchema, { matchAll: true });
  // A comma in parentheses separates values, not terms.
  const terms = text.split(/,(?![^(]*\))/).map((term) => parseTerm(term.trim()));
  return create(LabelSelectorSchema, { matchExpressions: terms });
}

function parseTerm(term: string): LabelSelectorRequirement {
  const make = (key: string, operator: SelectorOperator, values: string[] = []) =>
    create(LabelSelectorRequirementSchema, { key, operator, values });
  const [, name, word, list] = setTerm.exec(term) ?? [];
  if (name !== undefined) {
    const values = list?.split(',').map((value) => value.trim()) ?? [];
    return make(name, word === 'in' ? IN : NOT_IN, values);
  }
  const [, left, sign, right] = equalityTerm.exec(term) ?? [];
  if (left !== undefined) return make(left, sign === '!=' ? NOT_IN : IN, [right?.trim() ?? '']);
  const [, not, only] = existenceTerm.exec(term) ?? [];
  if (only !== undefined) return make(only, not === '!' ? DOES_NOT_EXIST : EXISTS);
  throw new InvalidArgumentError(
    `"${term}" is none of KEY=VALUE, KEY!=VALUE, KEY in (A,B), KEY notin (A,B), KEY, !KEY.`,
  );
}

/** A selector in the words that it can be written with. */
export function selectorText(selector: LabelSelector): string {
  const equals = Object.entries(selector.matchLabels).map(([name, value]) => `${name}=${value}`);
  const terms = selector.matchExpressions.map(termText);
  return selector.matchAll && equals.length + terms.length === 0 ? '*' : [...equals, ...terms].join(',');
}

function termText({ key: name, operator, values }: LabelSelectorRequirement): string {
  switch (operator) {
    case IN:
      return values.length === 1 ? `${name}=${values[0]}` : `${name} in (${values.join(',')})`;
    case NOT_IN:
      return values.length === 1 ? `${name}!=${values[0]}` : `${name} notin (${values.join(',')})`;
    case EXISTS:
      return name;
    case DOES_NOT_EXIST:
      return `!${name}`;
    default:
      return `${name} (operator ${operator})`;
  }
}
