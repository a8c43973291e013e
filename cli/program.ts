import { Command, CommanderError, Option } from 'commander';
import manifest from '../package.json' with { type: 'json' };
import type { DefineCommand, Verb } from './commands/command.ts';
import type { ExitCode } from './output/failure.ts';
import { parseOutput } from './output/output-format.ts';

/** The modules that define the nouns. Each is loaded when one of its verbs is used, because the generated contract is slow to load. */
const nounModules = {
  access: () => import('./commands/access/access.ts'),
  agent: () => import('./commands/agent/agent.ts'),
  agentStatus: () => import('./commands/agent/agent-status.ts'),
  apply: () => import('./commands/stack/apply.ts'),
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
  pause: () => import('./commands/agent/pause.ts'),
  placement: () => import('./commands/stack/placement.ts'),
  problem: () => import('./commands/status/problem.ts'),
  registration: () => import('./commands/access/registration.ts'),
  removal: () => import('./commands/stack/removal.ts'),
  rollback: () => import('./commands/stack/rollback.ts'),
  rotate: () => import('./commands/access/rotate.ts'),
  stack: () => import('./commands/stack/stack.ts'),
  telemetry: () => import('./commands/status/telemetry.ts'),
  watch: () => import('./commands/status/watch.ts'),
} satisfies Record<string, () => Promise<{ verbs: Partial<Record<Verb, DefineCommand>> }>>;

type Noun = keyof typeof nounModules;

interface CommandEntry {
  readonly verb: Verb;
  readonly alias?: string;
  readonly summary: string;
  readonly nouns: readonly Noun[];
}

/** The commands by the groups in which the help text lists them. */
const commandGroups: Readonly<Record<string, readonly CommandEntry[]>> = {
  'Deploy:': [
    { verb: 'apply', summary: 'create or update a stack from manifests', nouns: ['apply'] },
    { verb: 'diff', summary: 'show what apply would change', nouns: ['diff'] },
    { verb: 'rollback', summary: 'roll a stack back to an earlier revision', nouns: ['rollback'] },
    { verb: 'watch', summary: 'watch a stack or the fleet for changes', nouns: ['watch', 'fleet'] },
  ],
  'Inspect:': [
    {
      verb: 'status',
      summary: 'summarize the fleet (for a generator, its own part) and its problems by cause',
      nouns: ['fleet'],
    },
    { verb: 'get', summary: 'list resources, or show them by name', nouns: listableNouns() },
    { verb: 'describe', summary: 'show one resource in detail', nouns: ['stack', 'deployment', 'agent', 'generator'] },
    { verb: 'audit', summary: 'verify or export the audit log', nouns: ['audit'] },
    { verb: 'explain', summary: 'explain why a stack is, or is not, placed on an agent', nouns: ['placement'] },
    { verb: 'logs', summary: "show the logs of a stack's pods from all clusters", nouns: ['telemetry'] },
    { verb: 'events', summary: 'show the Kubernetes events of a stack from all clusters', nouns: ['telemetry'] },
    { verb: 'diagnose', summary: "collect diagnostics about a stack's objects and pods", nouns: ['diagnostic'] },
  ],
  'Change:': [
    { verb: 'create', summary: 'create a stack, an agent, a generator or an admin key', nouns: creatableNouns() },
    { verb: 'update', summary: 'change the settings of a stack, an agent or a generator', nouns: mutableNouns() },
    { verb: 'label', summary: 'add labels (NAME) or remove them (NAME-)', nouns: ['stack', 'agent'] },
    { verb: 'annotate', summary: 'set annotations (KEY=VALUE) or remove them (KEY-)', nouns: ['stack', 'agent'] },
    { verb: 'target', summary: 'place a stack on an agent, regardless of labels', nouns: ['stack'] },
    { verb: 'untarget', summary: 'remove a target from a stack', nouns: ['stack'] },
    { verb: 'delete', summary: 'delete a stack, an agent or a generator', nouns: mutableNouns() },
  ],
  'Operate agents:': [
    { verb: 'install', summary: 'print a command that registers a cluster', nouns: ['install'] },
    { verb: 'agent', summary: 'show whether an agent is ready', nouns: ['agentStatus'] },
    { verb: 'pause', summary: 'pause agents, so that they change nothing in their clusters', nouns: ['pause'] },
    { verb: 'resume', summary: 'resume paused agents', nouns: ['pause'] },
    { verb: 'rebind', summary: 'allow an agent to move to another cluster', nouns: ['agent'] },
    {
      verb: 'register',
      alias: 'approve',
      summary: 'register an agent with a generator, or approve its request',
      nouns: ['registration'],
    },
    { verb: 'deregister', summary: "end a registration and remove the generator's objects", nouns: ['registration'] },
    { verb: 'confirm-removal', summary: 'allow held removals to proceed', nouns: ['removal'] },
    { verb: 'forget-removal', summary: 'abandon a removal on a lost cluster', nouns: ['removal'] },
  ],
  'Keys and contexts:': [
    { verb: 'login', summary: 'save a key (PAK) for a broker', nouns: ['access'] },
    { verb: 'logout', summary: 'delete the saved key of a context', nouns: ['access'] },
    { verb: 'whoami', summary: 'show whose key is in use', nouns: ['access'] },
    { verb: 'rotate', summary: 'replace a key', nouns: ['rotate'] },
    { verb: 'revoke', summary: 'revoke a key immediately', nouns: ['pak'] },
    { verb: 'context', alias: 'config', summary: 'list, select and delete contexts', nouns: ['context'] },
    { verb: 'completion', summary: 'print a completion script for a shell', nouns: ['completion'] },
  ],
};

function listableNouns(): readonly Noun[] {
  return [
    'stack',
    'deployment',
    'agent',
    'fleet',
    'placement',
    'health',
    'problem',
    'event',
    'generator',
    'registration',
    'pak',
    'audit',
  ];
}

function creatableNouns(): readonly Noun[] {
  return ['stack', 'agent', 'generator', 'pak'];
}

function mutableNouns(): readonly Noun[] {
  return ['stack', 'agent', 'generator'];
}

/** Runs one command line and returns the exit code of the process. Errors are printed to standard error. */
export async function run(args: readonly string[]): Promise<ExitCode> {
  // A reader that closes the pipe early (`| head`) is not an error.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
    throw error;
  });
  try {
    // `help apply` means `apply --help`, and `version` means `--version`.
    const [first, ...rest] = args;
    if (first === '__complete') {
      const { listCompletions } = await import('./completion/complete.ts');
      const typedWords = rest[0] === '--' ? rest.slice(1) : rest;
      process.stdout.write(
        (await listCompletions(createProgram(), typedWords, defineSubcommands))
          .map((candidate) => `${candidate}\n`)
          .join(''),
      );
      return 0;
    }
    const program = createProgram().hook('preSubcommand', (_, command) => defineSubcommands(command));
    const argv = first === 'help' ? [...rest, '--help'] : first === 'version' ? ['--version'] : args;
    if (argv.includes('--help') || argv.includes('-h')) await requireKnownCommand(program, argv);
    await program.parseAsync(argv, { from: 'user' });
    return 0;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    const { explainError } = await import('./session/errors.ts');
    const { lines, exitCode } = explainError(error);
    process.stderr.write(`${lines.join('\n')}\n`);
    return exitCode;
  }
}

/** Ends with an error for an unknown command, of which commander would print the help of the program instead. */
async function requireKnownCommand(program: Command, argv: readonly string[]): Promise<void> {
  let command = program;
  for (const word of argv) {
    if (command !== program) await defineSubcommands(command);
    if (word.startsWith('-') || command.commands.length === 0) return;
    const next = command.commands.find((known) => known.name() === word || known.aliases().includes(word));
    if (!next) return command.error(`error: unknown command '${word}'`);
    command = next;
  }
}

/** Creates the program with the arguments and options of all commands loaded, for reference pages and tests. */
export async function createFullProgram(): Promise<Command> {
  const program = createProgram();
  for (const command of program.commands) await defineSubcommands(command);
  return program;
}

function createProgram(): Command {
  const program = new Command('brokkr')
    .description('Distributes Kubernetes objects to many clusters.')
    .version(manifest.version, '-V, --version', 'print the version')
    .exitOverride()
    .helpCommand(false)
    .showHelpAfterError('(use --help for more)')
    .configureHelp({ showGlobalOptions: true })
    .addOption(
      new Option('-o, --output <format>', 'table, wide, json, yaml, name or jsonpath=TEMPLATE').argParser(parseOutput),
    )
    .option('--context <name>', 'use the broker and key of this saved context (BROKKR_CONTEXT)')
    .option('--server <url>', 'address of the broker (BROKKR_SERVER); its key comes from BROKKR_PAK or login')
    .option('--ca-file <file>', "CA certificates (PEM), if the system does not trust the broker's")
    .option('--cert-file <file>', 'client certificate (PEM), if the broker requires one')
    .option('--key-file <file>', 'private key (PEM) of the client certificate')
    .option('--insecure-cleartext', 'allow sending the key over an unencrypted connection');
  for (const [heading, entries] of Object.entries(commandGroups)) {
    program.commandsGroup(heading);
    for (const { verb, alias, summary } of entries) {
      const command = program.command(verb).description(summary);
      if (alias !== undefined) command.alias(alias);
    }
  }
  return program;
}

const definedCommands = new WeakSet<Command>();

/** Loads the nouns of a verb and adds their arguments, options and actions to its command, once. */
async function defineSubcommands(command: Command): Promise<void> {
  if (definedCommands.has(command)) return;
  definedCommands.add(command);
  const entry = Object.values(commandGroups)
    .flat()
    .find(({ verb }) => verb === command.name());
  for (const noun of entry?.nouns ?? []) {
    const { verbs }: { verbs: Partial<Record<Verb, DefineCommand>> } = await nounModules[noun]();
    verbs[command.name() as Verb]?.(command);
  }
  if (command.name() === 'get')
    for (const listCommand of command.commands)
      listCommand.option('-w, --watch', 'print the list again when it changes, until Ctrl-C');
}
