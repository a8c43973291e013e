import { usageError } from '../../output/failure.ts';
import { openOutput } from '../../output/output.ts';
import { renderTable } from '../../output/table.ts';
import { printJson } from '../../output/view.ts';
import { type Context, readContexts, writeContexts } from '../../session/context.ts';
import type { GlobalOptions } from '../../session/settings.ts';
import type { VerbDefinitions } from '../command.ts';

export const verbs: VerbDefinitions = {
  context: (command) => {
    command
      .command('list')
      .alias('get-contexts')
      .description('saved contexts; the current one is marked with *')
      .action((_options, self) => listContexts(self.optsWithGlobals() as GlobalOptions));
    command
      .command('use')
      .alias('use-context')
      .description('select the current context')
      .argument('<name>')
      .action((name: string) => {
        const contexts = readContexts(process.env);
        findContext(contexts.all, name);
        writeContexts(process.env, { ...contexts, current: name });
        process.stderr.write(`context ${name} is now current\n`);
      });
    command
      .command('delete')
      .alias('delete-context')
      .description('delete a context and its key')
      .argument('<name>')
      .action((name: string) => {
        const { current, all } = readContexts(process.env);
        findContext(all, name);
        const { [name]: _, ...rest } = all;
        writeContexts(process.env, { current: current === name ? undefined : current, all: rest });
        process.stderr.write(`context ${name} is deleted\n`);
      });
  },
};

function listContexts(globals: GlobalOptions): void {
  const { current, all } = readContexts(process.env);
  const output = openOutput(globals.output ?? 'table');
  const rows = Object.entries(all).map(([name, { server, pak }]) => ({
    name,
    server,
    current: name === current,
    loggedIn: pak !== undefined,
  }));
  const columns = [
    { title: '', text: (row: (typeof rows)[number]) => (row.current ? '*' : ' ') },
    { title: 'NAME', text: (row: (typeof rows)[number]) => row.name },
    { title: 'SERVER', text: (row: (typeof rows)[number]) => row.server },
    { title: 'KEY', text: (row: (typeof rows)[number]) => (row.loggedIn ? 'saved' : 'none') },
  ];
  if (output.format === 'name') for (const { name } of rows) output.line(name);
  else if (output.format !== 'table') printJson(output, { contexts: rows });
  else if (rows.length === 0) output.note('no contexts; create one with: brokkr login');
  else output.line(renderTable(output, columns, rows));
}

function findContext(contexts: Readonly<Record<string, Context>>, name: string): Context {
  const context = contexts[name];
  if (!context) throw usageError(`there is no context "${name}"`, 'list them with: brokkr context list');
  return context;
}
