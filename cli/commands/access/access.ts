import path from 'node:path';
import type { Command } from 'commander';
import { labelOf, roleLabels } from '../../../contract/enum-labels.ts';
import { type WhoAmIResponse, WhoAmIResponseSchema } from '../../../gen/brokkr/v1/pak_pb.ts';
import { timestampText } from '../../format/enum-labels.ts';
import { Failure } from '../../output/failure.ts';
import { printOne } from '../../output/output.ts';
import { readPak } from '../../output/prompt.ts';
import { readContexts, saveContext, writeContexts } from '../../session/context.ts';
import { connectSession } from '../../session/session.ts';
import { type ConnectionSettings, defaultServer, type GlobalOptions, parseServer } from '../../session/settings.ts';
import { type VerbDefinitions, withSession } from '../command.ts';

export const verbs: VerbDefinitions = {
  login: (command) =>
    command
      .option('--pak-stdin', 'read the key from standard input')
      .addHelpText('after', '\nThe key is asked for without an echo, checked with the broker, and kept for you alone.')
      .action(login),

  logout: (command) => command.action(logout),

  whoami: (command) =>
    command.action(
      withSession(async ({ broker, out, settings }) => {
        const me = await broker.whoAmI({});
        printOne(out, { schema: WhoAmIResponseSchema, name: ({ name }) => name }, me, () => {
          out.line(identityText(me, settings.server));
        });
      }),
    ),
};

async function login(options: { pakStdin?: boolean }, command: Command): Promise<void> {
  const globals = command.optsWithGlobals<GlobalOptions>();
  const settings = await promptForSettings(globals, options.pakStdin ?? false);
  const session = connectSession(settings, globals);
  try {
    const me = await session.broker.whoAmI({});
    const { contextName: _, ...context } = settings;
    const name = globals.context || process.env.BROKKR_CONTEXT || new URL(settings.server).host;
    saveContext(process.env, name, context);
    session.out.line(identityText(me, settings.server));
    session.out.note(`kept as context ${name}`);
    if (process.env.BROKKR_PAK) session.out.note('warning: BROKKR_PAK is set, and is used instead');
  } finally {
    session.close();
  }
}

async function promptForSettings(globals: GlobalOptions, fromStdin: boolean): Promise<ConnectionSettings> {
  const { current, all } = readContexts(process.env);
  const known = all[globals.context || process.env.BROKKR_CONTEXT || current || ''];
  const server = parseServer(globals.server || process.env.BROKKR_SERVER || known?.server || defaultServer);
  const absolute = (file: string | undefined) => (file === undefined ? undefined : path.resolve(file));
  const kept = known?.server === server ? known : undefined;
  return {
    server,
    caFile: absolute(globals.caFile) ?? kept?.caFile,
    certFile: absolute(globals.certFile) ?? kept?.certFile,
    keyFile: absolute(globals.keyFile) ?? kept?.keyFile,
    insecureCleartext: globals.insecureCleartext ?? kept?.insecureCleartext,
    contextName: undefined,
    pak: await readPak(`Key (PAK) for ${server}: `, fromStdin),
  };
}

function logout(_options: unknown, command: Command): void {
  const { current, all } = readContexts(process.env);
  const name = command.optsWithGlobals<GlobalOptions>().context || process.env.BROKKR_CONTEXT || current;
  const context = name === undefined ? undefined : all[name];
  if (name === undefined || context === undefined) throw new Failure('there is no login to forget');
  const { pak: _, ...rest } = context;
  writeContexts(process.env, { current, all: { ...all, [name]: rest } });
  process.stderr.write(`the key of context ${name} is forgotten; to end it as well: brokkr revoke\n`);
}

function identityText(me: WhoAmIResponse, server: string): string {
  const expires = me.expireTime ? `, expires ${timestampText(me.expireTime)}` : '';
  return `${labelOf(roleLabels, me.role)} ${me.name} (key ${me.shortToken}${expires}) at ${server}, version ${me.brokerVersion}`;
}
