import { execFileSync } from 'node:child_process';
import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import { createFullProgram } from '../../cli/program.ts';
import { help as startHelp } from '../../sandbox/start/options.ts';
import { fenced, generatedFrom, page } from './markdown.ts';

const root = resolve(import.meta.dirname, '../..');
const helpWidth = 100;

/** The page about commands: what each says of itself. */
export async function cliPage(): Promise<string> {
  const program = await createFullProgram();
  return page(
    '# Commands',
    generatedFrom('what the programs say of themselves'),
    'In a checkout, `npm run -s cli -- …` runs `brokkr`, and `npm run -s broker -- …` runs `brokkr-broker`.',
    '## brokkr',
    'Options for every command, before or after its name:',
    fenced('text', helpOf(program)),
    ...program.commands.flatMap(sections),
    '## brokkr-broker',
    fenced('text', ownHelp('broker/main.ts')),
    '## The agent',
    fenced('text', ownHelp('agent/main.ts')),
    '## npm start',
    fenced('text', startHelp),
  );
}

/** The commands below one, each with its help; one that only groups others has no section of its own. */
function sections(command: Command): string[] {
  const own = command.commands.length === 0 || command.registeredArguments.length > 0;
  const section = [`### ${pathOf(command)}`, fenced('text', helpOf(command))];
  return [...(own ? section : []), ...command.commands.flatMap(sections)];
}

function pathOf(command: Command): string {
  return command.parent === null ? command.name() : `${pathOf(command.parent)} ${command.name()}`;
}

/** The text of `--help`, with what is added after it, and without the options of every command. */
function helpOf(command: Command): string {
  let text = '';
  command
    .configureHelp({ showGlobalOptions: false, helpWidth })
    .configureOutput({
      getOutHelpWidth: () => helpWidth,
      getOutHasColors: () => false,
      writeOut: (more) => (text += more),
    })
    .outputHelp();
  return text;
}

function ownHelp(main: string): string {
  return execFileSync(process.execPath, [join(root, main), '--help'], { encoding: 'utf8' });
}
