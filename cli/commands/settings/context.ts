import { usageError } from '../../output/failure.ts';
import { openOutput, printJson, renderTable } from '../../output/output.ts';
import { type Context, readContexts, writeContexts } from '../../session/context.ts';
import type { GlobalOptions } from '../../session/settings.ts';
import type { VerbDefinitions } from '../command.ts';

export const verbs: VerbDefinitions = {
  context: (command) => {
    command
      .command('list')
      .alias('get-contexts')
      .description('the kept contexts; the current one is marked')
      .action((_options, self) => list(self.optsWithGlobals() as GlobalOptions));
    command
      .command('use')
      .alias('use-context')
      .description('make one the current context')
      .argument('<name>')
      .action((name: string) => {
        const contexts = readContexts(process.env);
        find(contexts.all, name);
        writeContexts(process.env, { ...contexts, current: name });
        process.stderr.write(`context ${name} is the current one\n`);
      });
    command
      .command('delete')
      .alias('delete-context')
      .description('forget one and its key')
      .argument('<name>')
      .action((name: string) => {
        const { current, all } = readContexts(process.env);
        find(all, name);
        const { [name]: _, ...rest } = all;
        writeContexts(process.env, { current: current === name ? undefined : current, all: rest });
        process.stderr.write(`context ${name} is forgotten\n`);
      });
  },
};

function list(globals: GlobalOptions): void {
  const { current, all } = readContexts(process.env);
  const out = openOutput(globals.output ?? 'table');
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
    { title: 'KEY', text: (row: (typeof rows)[number]) => (row.loggedIn ? 'kept' : 'none') },
  ];
  if (out.format === 'name') for (const { name } of rows) out.line(name);
  else if (out.format !== 'table') printJson(out, { contexts: rows });
  else if (rows.length === 0) out.note('no contexts; brokkr login makes one');
  else out.line(renderTable(out, columns, rows));
}

function find(all: Readonly<Record<string, Context>>, name: string): Context {
  const context = all[name];
  if (!context) throw usageError(`there is no context "${name}"`, 'brokkr context list shows them');
  return context;
}
