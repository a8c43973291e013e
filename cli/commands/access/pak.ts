import { randomUUID } from 'node:crypto';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { labelOf, roleLabels } from '../../../contract/enum-labels.ts';
import { CreateAdminPakResponseSchema, type Pak, PakSchema } from '../../../gen/brokkr/v1/pak_pb.ts';
import { ageText, timestampText } from '../../format/enum-labels.ts';
import { parseFuture } from '../../options/duration.ts';
import { usageError } from '../../output/failure.ts';
import { printNewKey } from '../../output/new-key.ts';
import { confirm } from '../../output/prompt.ts';
import { printList, printOne, type View } from '../../output/view.ts';
import { allPages } from '../../session/pages.ts';
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
      .description('keys, without their secrets')
      .argument('[keys...]', 'short token or id')
      .option('--owner <name>', 'only those of this agent, generator or admin')
      .option('--show-ended', 'include revoked and expired keys')
      .action(
        withSession(
          async ({ admin, output }, keys: string[], { owner, showEnded }: { owner?: string; showEnded?: boolean }) => {
            const paks = await allPages(
              (page) => admin.listPaks({ owner, showEnded: showEnded || keys.length > 0, ...page }),
              (page) => page.paks,
            );
            const wanted = keys.map((key) => {
              const found = paks.find(({ id, shortToken }) => key === id || key === shortToken);
              if (!found) throw usageError(`there is no key ${key}`);
              return found;
            });
            printList(output, pakView, keys.length > 0 ? wanted : paks);
          },
        ),
      ),

  create: (command) =>
    command
      .command('admin-pak')
      .description('a key for an admin; prints it once')
      .argument('<name>')
      .option('--read-only', 'allow only reading')
      .option(
        '--expires <when>',
        'expiry, such as 30d (from now) or 2027-01-31T12:00:00Z (default: never)',
        parseFuture,
      )
      .option('--pak-file <file>', 'write the key to this new file (mode 0600) instead of printing it')
      .action(
        withSession(async ({ admin, output }, name: string, options: CreateOptions) => {
          const { readOnly, expires, pakFile } = options;
          const expireTime = expires === undefined ? undefined : timestampFromMs(expires);
          const response = await admin.createAdminPak({ requestId: randomUUID(), name, readOnly, expireTime });
          printNewKey(output, {
            schema: CreateAdminPakResponseSchema,
            response,
            summary: `admin key ${name} created`,
            pakFile,
            retryCommand: `brokkr revoke ${response.info?.shortToken}, then create it again`,
          });
        }),
      ),

  revoke: (command) =>
    command
      .argument('<key>', 'short token or id, as shown by get paks')
      .option('-y, --yes', 'skip the confirmation prompt')
      .option('--own', 'with --yes: also if it is the key in use')
      .action(
        withSession(async ({ admin, broker, output }, pak: string, { yes, own }: { yes?: boolean; own?: boolean }) => {
          // Sends only the public part of a full key, which identifies it as well.
          const key = /^brokkr_(\w+)_/.exec(pak)?.[1] ?? pak;
          const { id, shortToken } = await broker.whoAmI({});
          const isOwn = [id, shortToken, shortToken.slice(2)].includes(key);
          if (isOwn && yes && !own)
            throw usageError(
              `${key} is the key in use: unless you have another one, you are locked out`,
              'to revoke it anyway, use --yes --own',
            );
          const warning = isOwn ? 'It is the key in use: unless you have another one, you are locked out. ' : '';
          await confirm(`Revoke key ${key}? ${warning}Everything that uses it stops working immediately.`, yes);
          const { info } = await admin.revokePak({ pak: key });
          printOne(output, pakView, info!, () => output.line(`key ${info!.shortToken} of ${info!.owner} is revoked`));
        }),
      ),
};

interface CreateOptions {
  readonly readOnly?: boolean;
  /** Milliseconds since 1970. */
  readonly expires?: number;
  readonly pakFile?: string;
}

function stateOf({ revokeTime, expireTime }: Pak): string {
  if (revokeTime) return `revoked ${timestampText(revokeTime)}`;
  return expireTime ? `expires ${timestampText(expireTime)}` : 'live';
}
