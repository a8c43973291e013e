import type { Command, Option } from 'commander';
import { readContexts } from '../session/context.ts';
import { openSession, type Session } from '../session/session.ts';
import type { GlobalOptions } from '../session/settings.ts';

/** Somebody waits with a finger on the key. */
const timeoutMs = 2_000;

/** What names on a command line stand for. */
type Kind = 'stacks' | 'agents' | 'generators' | 'paks' | 'contexts';

/** Where a command line has got to. */
interface CursorPosition {
  readonly command: Command;
  /** How many arguments the command has so far. */
  readonly argumentCount: number;
  /** The option whose value is being typed. */
  readonly option: Option | undefined;
  readonly globals: GlobalOptions;
}

/**
 * What may stand in the place of the last word: commands, options, or names of what is there now. Nothing rather than an error, and
 * nothing after two seconds. `load` makes a command's own commands and options known.
 */
export async function listCompletions(
  program: Command,
  words: readonly string[],
  load: (command: Command) => Promise<void>,
): Promise<string[]> {
  const typed = words.at(-1) ?? '';
  const place = await locateCursor(program, words.slice(0, -1), load);
  const found = await suggestWords(place, typed).catch(() => []);
  return [...new Set(found)].filter((one) => one.startsWith(typed));
}

async function locateCursor(
  program: Command,
  words: readonly string[],
  load: (command: Command) => Promise<void>,
): Promise<CursorPosition> {
  let command = program;
  let argumentCount = 0;
  const values: Record<string, string | boolean> = {};
  const rest = words.values();
  for (const word of rest) {
    if (word.startsWith('-')) {
      const option = optionsOf(command).find(({ long, short }) => word === long || word === short);
      if (!option) continue;
      const value = option.required ? rest.next() : { done: false, value: true };
      if (value.done) return { command, argumentCount, option, globals: values };
      values[option.attributeName()] = value.value;
      continue;
    }
    const inner = command.commands.find((one) => one.name() === word || one.aliases().includes(word));
    if (!inner) argumentCount += 1;
    else {
      if (command === program) await load(inner);
      command = inner;
    }
  }
  return { command, argumentCount, option: undefined, globals: values };
}

async function suggestWords(
  { command, argumentCount, option, globals }: CursorPosition,
  typed: string,
): Promise<string[]> {
  if (option) {
    const kind = kindOfOption(option);
    return (
      option.argChoices ??
      (option.long === '--output' ? outputFormats : kind === undefined ? [] : namesOf(kind, globals))
    );
  }
  if (typed.startsWith('-')) return optionsOf(command).flatMap(({ long, hidden }) => (hidden || !long ? [] : [long]));
  if (command.commands.length > 0) return command.commands.map((one) => one.name());
  const argument = command.registeredArguments[argumentCount] ?? command.registeredArguments.at(-1);
  const isThere = argument !== undefined && (argumentCount < command.registeredArguments.length || argument.variadic);
  const kind = isThere ? kindOfArgument(argument.name(), command) : undefined;
  return kind === undefined ? [] : namesOf(kind, globals);
}

const outputFormats = ['table', 'wide', 'json', 'yaml', 'name', 'jsonpath='];

/** Of the command and of those around it. */
function optionsOf(command: Command | null): Option[] {
  return command ? [...command.options, ...optionsOf(command.parent)] : [];
}

const kindsByName: Readonly<Record<string, Kind>> = {
  stack: 'stacks',
  stacks: 'stacks',
  'depends-on': 'stacks',
  deployment: 'stacks',
  deployments: 'stacks',
  health: 'stacks',
  agent: 'agents',
  agents: 'agents',
  target: 'agents',
  status: 'agents',
  generator: 'generators',
  generators: 'generators',
  key: 'paks',
  paks: 'paks',
  context: 'contexts',
  use: 'contexts',
};

function kindOfOption({ long }: Option): Kind | undefined {
  return kindsByName[long?.slice(2) ?? ''];
}

/** An argument says what it names, or its command does. */
function kindOfArgument(name: string, command: Command): Kind | undefined {
  const around = command.parent?.name() ?? '';
  if (around === 'create' || around === 'install') return undefined;
  return kindsByName[name] ?? (around === 'context' ? 'contexts' : kindsByName[command.name()]);
}

async function namesOf(kind: Kind, globals: GlobalOptions): Promise<string[]> {
  if (kind === 'contexts') return Object.keys(readContexts(process.env).all);
  const session = openSession(globals);
  try {
    return await list(kind, session);
  } finally {
    session.close();
  }
}

async function list(kind: Exclude<Kind, 'contexts'>, { admin, broker }: Session): Promise<string[]> {
  const page = { pageSize: 500 };
  const options = { timeoutMs: timeoutMs, signal: AbortSignal.timeout(timeoutMs) };
  switch (kind) {
    case 'stacks': {
      const { stacks } = await broker.listStacks(page, options);
      const isUnique = (name: string) => stacks.filter((stack) => stack.name === name).length === 1;
      return stacks.map(({ generator, name }) => (isUnique(name) ? name : `${generator}/${name}`));
    }
    case 'agents':
      return (await broker.listAgents(page, options)).agents.map(({ name }) => name);
    case 'generators':
      return (await admin.listGenerators(page, options)).generators.map(({ name }) => name);
    case 'paks':
      return (await admin.listPaks(page, options)).paks.map(({ shortToken }) => shortToken);
  }
}
