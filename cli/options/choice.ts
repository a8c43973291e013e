import type { Command } from 'commander';
import { type LabelSelector, SelectorOperator } from '../../gen/brokkr/v1/stack_pb.ts';
import { Failure, usageError } from '../output/failure.ts';
import { confirm } from '../output/prompt.ts';
import { sanitize } from '../output/sanitize.ts';
import { parseSelector } from './selector.ts';

/** The options with which a command acts on many resources at once. */
export interface ChoiceOptions {
  readonly selector?: LabelSelector;
  readonly all?: boolean;
  readonly yes?: boolean;
}

/** A resource that a selector can choose. */
export interface Selectable {
  readonly name: string;
  readonly labels: readonly string[];
  readonly annotations: Readonly<Record<string, string>>;
}

/** Adds `--selector`, `--all` and `--yes`. */
export function addChoiceOptions(command: Command, noun: string): Command {
  return addSelectionOptions(command, noun).option('-y, --yes', 'skip the confirmation prompt');
}

/** Adds `--selector` and `--all`. */
export function addSelectionOptions(command: Command, noun: string): Command {
  return command
    .option(
      '-l, --selector <selector>',
      `instead of names: each ${noun} that this selects by label and annotation`,
      parseSelector,
    )
    .option('--all', `instead of names: each ${noun}`);
}

/** Tells whether the resources are chosen by options, and not by name. */
export function isChosenByOption({ selector, all }: ChoiceOptions): boolean {
  return selector !== undefined || all === true;
}

/**
 * Returns the names of the resources to act on: those given, or those that `--selector` or `--all` choose from `list`, after a question
 * that begins with `question` and names them. Throws a Failure when nothing is chosen, or both ways are used.
 */
export async function chooseNames(
  names: readonly string[],
  options: ChoiceOptions,
  { noun, question, list }: { noun: string; question: string; list: () => Promise<readonly Selectable[]> },
): Promise<readonly string[]> {
  if (!isChosenByOption(options)) {
    if (names.length === 0)
      throw usageError(`no ${noun} is named`, `name one or more, or choose with --selector or --all`);
    return names;
  }
  if (names.length > 0) throw usageError(`give names, or --selector, or --all`);
  const chosen = await selectFrom(options, list);
  if (chosen.length === 0) throw new Failure(`no ${noun} matches`);
  await confirmAll(
    question,
    noun,
    chosen.map(({ name }) => name),
    options.yes,
  );
  return chosen.map(({ name }) => name);
}

/** Returns the resources that `--selector` or `--all` choose. */
export async function selectFrom<S extends Selectable>(
  { selector, all }: ChoiceOptions,
  list: () => Promise<readonly S[]>,
): Promise<readonly S[]> {
  if (selector && all) throw usageError('give --selector or --all, not both');
  const listed = await list();
  return selector ? listed.filter((candidate) => isSelected(selector, candidate)) : listed;
}

const maxNames = 5;

/** Asks one question about all of the names. */
export async function confirmAll(
  question: string,
  noun: string,
  names: readonly string[],
  yes: boolean | undefined,
): Promise<void> {
  const more = names.length > maxNames ? ` and ${names.length - maxNames} more` : '';
  const list = `${names.slice(0, maxNames).join(', ')}${more}`;
  await confirm(sanitize(`${question} ${names.length} ${noun}${names.length === 1 ? '' : 's'}? ${list}`), yes);
}

/** Answers whether a selector selects a resource. A label is a key whose value is empty, as in the broker's matching. */
export function isSelected(selector: LabelSelector, { labels, annotations }: Selectable): boolean {
  const has = (key: string) => labels.includes(key) || Object.hasOwn(annotations, key);
  const hasValue = (key: string, values: readonly string[]) =>
    (labels.includes(key) && values.includes('')) ||
    (Object.hasOwn(annotations, key) && values.includes(annotations[key] ?? ''));
  const equals = Object.entries(selector.matchLabels).every(([key, value]) => hasValue(key, [value]));
  return (
    equals &&
    selector.matchExpressions.every(({ key, operator, values }) => {
      switch (operator) {
        case SelectorOperator.IN:
          return hasValue(key, values);
        case SelectorOperator.NOT_IN:
          return !hasValue(key, values);
        case SelectorOperator.EXISTS:
          return has(key);
        default:
          return !has(key);
      }
    })
  );
}
