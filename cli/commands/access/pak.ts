import { randomUUID } from 'node:crypto';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import type { Command } from 'commander';
import { toDuration } from '../../../contract/duration.ts';
import { labelOf, roleLabels } from '../../../contract/enum-labels.ts';
import { RotateAgentPakResponseSchema } from '../../../gen/brokkr/v1/cluster_agent_pb.ts';
import { RotateGeneratorPakResponseSchema } from '../../../gen/brokkr/v1/generator_pb.ts';
import {
  CreateAdminPakResponseSchema,
  type Pak,
  PakSchema,
  RotatePakResponseSchema,
} from '../../../gen/brokkr/v1/pak_pb.ts';
import { ageText, timestampText } from '../../format/enum-labels.ts';
import { parseDuration, parseFuture } from '../../options/duration.ts';
import { usageError } from '../../output/failure.ts';
import { printNewKey } from '../../output/new-key.ts';
import { printList, printOne, type View } from '../../output/output.ts';
import { confirm } from '../../output/prompt.ts';
import { readContexts, saveContext } from '../../session/context.ts';
import { allPages } from '../../session/pages.ts';
import type { Session } from '../../session/session.ts';
import { type VerbDefinitions, withSession } from '../command.ts';

const pakView: View<typeof PakSchema> = {
  schema: PakSchema,
  listField: 'paks',
  name: ({ shortToken }) => shortToken,
  columns: [
    { title: 'KEY', text: ({ shortToken }) => shortToken },
    { title: 'ROLE', text: ({ role }) => labelOf(roleLabels, role) },
    { title: 'OWNER', text: ({ owner }) => owner },
    { title: 'AGE', text: ({ createTime }) => ageText(createTime) },
    { title: 'USED', text: ({ lastUseTime }) => ageText(lastUseTime) },
    { title: 'STATE', text: stateOf, tone: (pak) => (pak.revokeTime ? 'bad' : undefined) },
  ],
};

export const verbs: VerbDefinitions = {
  get: (command) =>
    command
      .command('paks')
      .alias('pak')
      .description('the keys, without their secrets')
      .argument('[keys...]', 'short token or id')
      .option('--owner <name>', "only this agent's, generator's or admin's")
      .option('--show-ended', 'also revoked and expired ones')
      .action(
        withSession(
          async ({ admin, out }, keys: string[], { owner, showEnded }: { owner?: string; showEnded?: boolean }) => {
            const paks = await allPages(
              (page) => admin.listPaks({ owner, showEnded: showEnded || keys.length > 0, ...page }),
              (page) => page.paks,
            );
            const wanted = keys.map((key) => {
              const found = paks.find(({ id, shortToken }) => key === id || key === shortToken);
              if (!found) throw usageError(`there is no key ${key}`);
              return found;
            });
            printList(out, pakView, keys.length > 0 ? wanted : paks);
          },
        ),
      ),

  create: (command) =>
    command
      .command('admin-pak')
      .description('a key for an admin; prints it, once')
      .argument('<name>')
      .option('--read-only', 'it may only look')
      .option('--expires <when>', 'such as 30d (from now) or 2027-01-31T12:00:00Z (default: never)', parseFuture)
      .option('--pak-file <file>', 'write the key to this new file (0600) instead')
      .action(
        withSession(async ({ admin, out }, name: string, options: CreateOptions) => {
          const { readOnly, expires, pakFile } = options;
          const expireTime = expires === undefined ? undefined : timestampFromMs(expires);
          const answer = await admin.createAdminPak({ requestId: randomUUID(), name, readOnly, expireTime });
          printNewKey(out, {
            schema: CreateAdminPakResponseSchema,
            answer,
            summary: `admin key ${name} created`,
            pakFile,
            retryCommand: `brokkr revoke ${answer.info?.shortToken}, then create it again`,
          });
        }),
      ),

  rotate: (command) => {
    rotateOptions(command.command('self').description('the key in use; a kept one is replaced in its context')).action(
      withSession(async (session, options: RotateOptions) => {
        const answer = await session.broker.rotatePak({ requestId: randomUUID(), overlap: overlapOf(options) });
        if (answer.pak !== '') saveRotatedKey(session, answer.pak);
        printNewKey(session.out, {
          schema: RotatePakResponseSchema,
          answer,
          summary: rotationSummary('own key', options),
          pakFile: options.pakFile,
          retryCommand: 'brokkr rotate self',
        });
      }),
    );
    rotateOptions(command.command('agent').description("an agent's key").argument('<name>')).action(
      withSession(async ({ admin, out }, agent: string, options: RotateOptions) => {
        const answer = await admin.rotateAgentPak({ requestId: randomUUID(), agent, overlap: overlapOf(options) });
        const summary = rotationSummary(`key of agent ${agent}`, options);
        const retryCommand = `brokkr rotate agent ${agent} --now`;
        printNewKey(out, {
          schema: RotateAgentPakResponseSchema,
          answer,
          summary,
          pakFile: options.pakFile,
          retryCommand,
        });
      }),
    );
    rotateOptions(command.command('generator').description("a generator's key").argument('<name>')).action(
      withSession(async ({ admin, out }, generator: string, options: RotateOptions) => {
        const answer = await admin.rotateGeneratorPak({
          requestId: randomUUID(),
          generator,
          overlap: overlapOf(options),
        });
        const summary = rotationSummary(`key of generator ${generator}`, options);
        const retryCommand = `brokkr rotate generator ${generator} --now`;
        printNewKey(out, {
          schema: RotateGeneratorPakResponseSchema,
          answer,
          summary,
          pakFile: options.pakFile,
          retryCommand,
        });
      }),
    );
  },

  revoke: (command) =>
    command
      .argument('<key>', 'short token or id, as get paks shows it')
      .option('-y, --yes', 'do not ask')
      .option('--own', 'with --yes: even if it is the key in use')
      .action(
        withSession(async ({ admin, broker, out }, pak: string, { yes, own }: { yes?: boolean; own?: boolean }) => {
          // A whole key must not travel further than it has: its public part names it just as well.
          const key = /^brokkr_(\w+)_/.exec(pak)?.[1] ?? pak;
          const { id, shortToken } = await broker.whoAmI({});
          const isOwn = [id, shortToken, shortToken.slice(2)].includes(key);
          if (isOwn && yes && !own)
            throw usageError(
              `${key} is the key in use: without another one you are locked out`,
              'if that is meant: say --yes --own',
            );
          const warning = isOwn ? 'It is the key in use: without another one you are locked out. ' : '';
          await confirm(`Revoke key ${key}? ${warning}Whatever uses it stops working at once.`, yes);
          const { info } = await admin.revokePak({ pak: key });
          printOne(out, pakView, info!, () => out.line(`key ${info!.shortToken} of ${info!.owner} is revoked`));
        }),
      ),
};

interface CreateOptions {
  readonly readOnly?: boolean;
  /** Milliseconds since 1970. */
  readonly expires?: number;
  readonly pakFile?: string;
}

interface RotateOptions {
  readonly now?: boolean;
  readonly overlap?: number;
  readonly pakFile?: string;
}

function rotateOptions(command: Command): Command {
  return command
    .option('--now', 'end the old key at once')
    .option('--overlap <duration>', 'how long the old key goes on working (default: 24h)', parseDuration)
    .option('--pak-file <file>', 'write the key to this new file (0600) instead');
}

function overlapOf({ now, overlap }: RotateOptions) {
  if (now && overlap !== undefined) throw usageError('--now and --overlap exclude each other');
  const ms = now ? 0 : overlap;
  return ms === undefined ? undefined : toDuration(ms);
}

function rotationSummary(what: string, { now, overlap }: RotateOptions): string {
  return `${what} rotated; the old one ${now || overlap === 0 ? 'has ended' : 'goes on working for a while'}`;
}

/** Before the new key is shown: a context must not be left with a key that is about to end. */
function saveRotatedKey({ settings, out }: Session, pak: string): void {
  const name = settings.contextName;
  const context = name === undefined ? undefined : readContexts(process.env).all[name];
  if (name === undefined || context === undefined) return;
  saveContext(process.env, name, { ...context, pak }, false);
  out.note(`kept in context ${name}`);
}

function stateOf({ revokeTime, expireTime }: Pak): string {
  if (revokeTime) return `revoked ${timestampText(revokeTime)}`;
  return expireTime ? `expires ${timestampText(expireTime)}` : 'live';
}
