import { Command, CommanderError, Option } from 'commander';
import manifest from '../package.json' with { type: 'json' };
import type { DefineCommand, Verb } from './commands/command.ts';
import type { ExitCode } from './output/failure.ts';
import { parseOutput } from './output/output-format.ts';

/** Each noun's module knows how its verbs look; it is loaded when one of them is used, because the contract behind it is heavy. */
const nounModules = {
  access: () => import('./commands/access/access.ts'),
  agent: () => import('./commands/agent/agent.ts'),
  agentStatus: () => import('./commands/agent/agent-status.ts'),
  audit: () => import('./commands/access/audit.ts'),
  completion: () => import('./commands/settings/completion.ts'),
  context: () => import('./commands/settings/context.ts'),
  deployment: () => import('./commands/stack/deployment.ts'),
  diagnostic: () => import('./commands/status/diagnostic.ts'),
  diff: () => import('./commands/stack/diff.ts'),
  event: () => import('./commands/status/event.ts'),
  fleet: () => import('./commands/agent/fleet.ts'),
  generator: () => import('./commands/access/generator.ts'),
  health: () => import('./commands/status/health.ts'),
  install: () => import('./commands/agent/install.ts'),
  pak: () => import('./commands/access/pak.ts'),
  placement: () => import('./commands/stack/placement.ts'),
  registration: () => import('./commands/access/registration.ts'),
  removal: () => import('./commands/stack/removal.ts'),
  stack: () => import('./commands/stack/stack.ts'),
  telemetry: () => import('./commands/status/telemetry.ts'),
  watch: () => import('./commands/status/watch.ts'),
} satisfies Record<string, () => Promise<{ verbs: Partial<Record<Verb, DefineCommand>> }>>;

interface CommandEntry {
  readonly verb: Verb;
  readonly alias?: string;
  readonly summary: string;
  readonly nouns: readonly (keyof typeof nounModules)[];
}

/** The groups of the help text; each command with what it is about. */
const commandGroups: Readonly<Record<string, readonly CommandEntry[]>> = {
  'Deploy:': [
    { verb: 'apply', summary: 'make a stack run the given objects', nouns: ['deployment'] },
    { verb: 'diff', summary: 'show what apply would change, and where', nouns: ['diff'] },
    { verb: 'rollback', summary: "bring an earlier revision's objects back", nouns: ['deployment'] },
    { verb: 'watch', summary: 'follow a stack on its agents, or the fleet', nouns: ['watch', 'fleet'] },
  ],
  'Look:': [
    { verb: 'status', summary: 'the fleet in one look: what is there, and what is in trouble', nouns: ['fleet'] },
    { verb: 'get', summary: 'list things, or show them by name', nouns: listableNouns() },
    { verb: 'describe', summary: 'show one thing in full', nouns: ['stack', 'deployment', 'agent', 'generator'] },
    { verb: 'audit', summary: 'check or export the record of who did what', nouns: ['audit'] },
    { verb: 'explain', summary: 'say why a stack is, or is not, on an agent', nouns: ['placement'] },
    { verb: 'logs', summary: "show what a stack's pods write, on all clusters together", nouns: ['telemetry'] },
    { verb: 'events', summary: "show Kubernetes' own events about a stack, on all clusters", nouns: ['telemetry'] },
    { verb: 'diagnose', summary: "have an agent look closely at a stack's objects and pods", nouns: ['diagnostic'] },
  ],
  'Change:': [
    { verb: 'create', summary: 'make a stack, an agent, a generator or an admin key', nouns: creatableNouns() },
    { verb: 'update', summary: 'change the settings of a stack, an agent or a generator', nouns: mutableNouns() },
    { verb: 'label', summary: 'add labels (NAME) and take them away (NAME-)', nouns: ['stack', 'agent'] },
    { verb: 'annotate', summary: 'set annotations (KEY=VALUE) and take them away (KEY-)', nouns: ['stack', 'agent'] },
    { verb: 'target', summary: 'place a stack on an agent, whatever their labels', nouns: ['stack'] },
    { verb: 'untarget', summary: 'take such a target away', nouns: ['stack'] },
    { verb: 'delete', summary: 'remove a stack, an agent or a generator', nouns: mutableNouns() },
  ],
  'Operate agents:': [
    { verb: 'install', summary: 'register a cluster with one command', nouns: ['install'] },
    { verb: 'agent', summary: 'say whether an agent is up', nouns: ['agentStatus'] },
    { verb: 'pause', summary: 'freeze an agent: it changes nothing in its cluster', nouns: ['agent'] },
    { verb: 'resume', summary: 'let a paused agent go on', nouns: ['agent'] },
    { verb: 'rebind', summary: 'let an agent move to another cluster', nouns: ['agent'] },
    {
      verb: 'register',
      alias: 'approve',
      summary: 'let a generator use an agent, or approve its request',
      nouns: ['registration'],
    },
    { verb: 'deregister', summary: 'end that, and remove what the generator placed there', nouns: ['registration'] },
    { verb: 'confirm-removal', summary: 'let a held removal go on', nouns: ['removal'] },
    { verb: 'forget-removal', summary: 'end a removal on a lost cluster', nouns: ['removal'] },
  ],
  'Keys and contexts:': [
    { verb: 'login', summary: 'keep a key (PAK) for a broker', nouns: ['access'] },
    { verb: 'logout', summary: 'forget it', nouns: ['access'] },
    { verb: 'whoami', summary: 'say who the key belongs to', nouns: ['access'] },
    { verb: 'rotate', summary: 'replace a key', nouns: ['pak'] },
    { verb: 'revoke', summary: 'end a key at once', nouns: ['pak'] },
    { verb: 'context', alias: 'config', summary: 'choose between brokers', nouns: ['context'] },
    { verb: 'completion', summary: 'let a shell complete commands and names', nouns: ['completion'] },
  ],
};

function listableNouns(): readonly (keyof typeof nounModules)[] {
  return [
    'stack',
    'deployment',
    'agent',
    'fleet',
    'placement',
    'health',
    'event',
    'generator',
    'registration',
    'pak',
    'audit',
  ];
}

function creatableNouns(): readonly (keyof typeof nounModules)[] {
  return ['stack', 'agent', 'generator', 'pak'];
}

function mutableNouns(): readonly (keyof typeof nounModules)[] {
  return ['stack', 'agent', 'generator'];
}

/** Runs one command line. Everything that goes wrong is told on standard error; the answer is the process's exit code. */
export async function run(args: readonly string[]): Promise<ExitCode> {
  // A reader that has seen enough (`| head`) is no failure.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
    throw error;
  });
  try {
    // `help apply` is `apply --help`, which loads what apply knows of itself; `version` is `--version`.
    const [first, ...rest] = args;
    if (first === '__complete') {
      const { listCompletions } = await import('./completion/complete.ts');
      const words = rest[0] === '--' ? rest.slice(1) : rest;
      process.stdout.write(
        (await listCompletions(createProgram(), words, defineSubcommands)).map((one) => `${one}\n`).join(''),
      );
      return 0;
    }
    const program = createProgram().hook('preSubcommand', (_, command) => defineSubcommands(command));
    const wanted = first === 'help' ? [...rest, '--help'] : first === 'version' ? ['--version'] : args;
    await program.parseAsync(wanted, { from: 'user' });
    return 0;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    const { explainError } = await import('./session/errors.ts');
    const { lines, exitCode } = explainError(error);
    process.stderr.write(`${lines.join('\n')}\n`);
    return exitCode;
  }
}

/** The program with everything that each of its commands knows of itself, for what is written about it. */
export async function createFullProgram(): Promise<Command> {
  const program = createProgram();
  for (const command of program.commands) await defineSubcommands(command);
  return program;
}

function createProgram(): Command {
  const program = new Command('brokkr')
    .description('Distributes Kubernetes objects to many clusters.')
    .version(manifest.version, '-V, --version', 'say which version of this command it is')
    .exitOverride()
    .helpCommand(false)
    .showHelpAfterError('(--help tells more)')
    .configureHelp({ showGlobalOptions: true })
    .addOption(
      new Option('-o, --output <form>', 'table, wide, json, yaml, name or jsonpath=TEMPLATE').argParser(parseOutput),
    )
    .option('--context <name>', 'the broker and key to use, as kept by login (BROKKR_CONTEXT)')
    .option('--server <url>', 'address of the broker (BROKKR_SERVER); the key: BROKKR_PAK, or from login')
    .option('--ca-file <file>', "certificates (PEM) to trust, when the system does not trust the broker's")
    .option('--cert-file <file>', 'own certificate (PEM), for a broker that asks for one')
    .option('--key-file <file>', "own certificate's private key (PEM)")
    .option('--insecure-cleartext', 'send the key over a network without encryption');
  for (const [heading, entries] of Object.entries(commandGroups)) {
    program.commandsGroup(heading);
    for (const { verb, alias, summary } of entries) {
      const command = program.command(verb).description(summary);
      if (alias !== undefined) command.alias(alias);
    }
  }
  return program;
}

/** Makes known what a verb's nouns know of it. */
async function defineSubcommands(command: Command): Promise<void> {
  const entry = Object.values(commandGroups)
    .flat()
    .find(({ verb }) => verb === command.name());
  for (const noun of entry?.nouns ?? []) {
    const { verbs }: { verbs: Partial<Record<Verb, DefineCommand>> } = await nounModules[noun]();
    verbs[command.name() as Verb]?.(command);
  }
  if (command.name() === 'get')
    for (const list of command.commands) list.option('-w, --watch', 'again and again, as it changes, until Ctrl-C');
}
