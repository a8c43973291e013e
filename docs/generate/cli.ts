import { execFileSync } from 'node:child_process';
import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import { createFullProgram } from '../../cli/program.ts';
import { help as startHelp } from '../../sandbox/start/options.ts';
import { fenced, generatedFrom, page } from './markdown.ts';

const root = resolve(import.meta.dirname, '../..');
const helpWidth = 100;

/** Returns the page about the commands, with the help of each. */
export async function cliPage(): Promise<string> {
  const program = await createFullProgram();
  return page(
    '# Commands',
    generatedFrom('the help texts of the programs'),
    'In a checkout, `npm run -s cli -- …` runs `brokkr`, and `npm run -s broker -- …` runs `brokkr-broker`.',
    '## brokkr',
    'Options of every command, before or after its name:',
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

/** Returns the sections of a command and its subcommands; a command that only groups others has no section. */
function sections(command: Command): string[] {
  const own = command.commands.length === 0 || command.registeredArguments.length > 0;
  const section = [`### ${pathOf(command)}`, fenced('text', helpOf(command))];
  return [...(own ? section : []), ...command.commands.flatMap(sections)];
}

function pathOf(command: Command): string {
  return command.parent === null ? command.name() : `${pathOf(command.parent)} ${command.name()}`;
}

/** Returns the text of `--help` with its additions, without the options of every command. */
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
