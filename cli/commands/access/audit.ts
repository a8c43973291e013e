import { once } from 'node:events';
import { timestampDate, timestampFromMs } from '@bufbuild/protobuf/wkt';
import type { Command } from 'commander';
import { labelOf, roleLabels } from '../../../contract/enum-labels.ts';
import {
  type AuditActor,
  type AuditEntry,
  AuditEntrySchema,
  AuditOutcome,
  VerifyAuditResponseSchema,
} from '../../../gen/brokkr/v1/audit_pb.ts';
import { Role } from '../../../gen/brokkr/v1/options_pb.ts';
import { printFields } from '../../format/describe.ts';
import { pluralize, timestampText } from '../../format/enum-labels.ts';
import { parsePast } from '../../options/duration.ts';
import { parseLimit } from '../../options/numbers.ts';
import { Failure } from '../../output/failure.ts';
import { jsonOf, printJson, printList, type View } from '../../output/output.ts';
import { allPages, eachPage } from '../../session/pages.ts';
import { type VerbDefinitions, withSession } from '../command.ts';

const auditView: View<typeof AuditEntrySchema> = {
  schema: AuditEntrySchema,
  listField: 'entries',
  name: ({ id }) => String(id),
  columns: [
    { title: 'ID', text: ({ id }) => String(id) },
    { title: 'TIME', text: ({ time }) => (time ? timestampDate(time).toISOString() : '') },
    { title: 'ACTOR', text: ({ actor }) => actorText(actor) },
    { title: 'ACTION', text: ({ action }) => action },
    { title: 'OBJECT', text: ({ objectKind, object, objectId }) => `${objectKind} ${object || objectId}`.trim() },
    { title: 'OUTCOME', text: outcomeText, tone: ({ outcome }) => (isDenied(outcome) ? 'bad' : undefined) },
    { title: 'FROM', text: ({ sourceAddress }) => sourceAddress },
  ],
};

/** More than that does not fit a screen; --limit 0 gives it all the same. */
const defaultLimit = 1_000;

export const verbs: VerbDefinitions = {
  get: (command) =>
    filterOptions(command.command('audit').description('who did what, newest first'))
      .option('--limit <count>', 'at most so many; 0 for all', parseLimit, defaultLimit)
      .action(
        withSession(async ({ admin, out }, options: Filter & { limit: number }) => {
          const entries = await allPages(
            (page) => admin.listAuditEntries({ ...filterOf(options), ...page }),
            (page) => page.entries,
            options.limit,
          );
          printList(out, auditView, entries);
          if (entries.length === options.limit) out.note(`only the newest ${options.limit}; --limit 0 gives all`);
        }),
      ),

  audit: (command) => {
    command
      .command('verify')
      .description('compute the chain of seals again; fails when somebody changed the record')
      .action(
        withSession(async ({ admin, out }) => {
          let answer = await admin.verifyAudit({});
          while (answer.nextPageToken !== '') answer = await admin.verifyAudit({ pageToken: answer.nextPageToken });
          if (out.format === 'table') {
            printFields(out, [
              ['Intact', answer.intact ? 'yes' : 'no'],
              ['Entries', `${answer.entries} in ${pluralize(Number(answer.seals), 'seal')}`],
              ['Not sealed yet', unsealedText(answer.unsealedEntries, timestampText(answer.oldestUnsealedTime))],
              ['Head', Buffer.from(answer.head).toString('hex')],
            ]);
          } else if (out.format === 'name') out.line(Buffer.from(answer.head).toString('hex'));
          else printJson(out, jsonOf(VerifyAuditResponseSchema, answer));
          if (!answer.intact) throw new Failure(`the record is not intact: ${answer.problem}`);
        }),
      );
    filterOptions(command.command('export').description('all of it as JSON, an entry a line, oldest first')).action(
      withSession(async ({ admin }, options: Filter) => {
        const filter = { ...filterOf(options), oldestFirst: true };
        for await (const { entries } of eachPage((page) => admin.listAuditEntries({ ...filter, ...page }))) {
          const lines = entries.map((entry) => `${JSON.stringify(jsonOf(AuditEntrySchema, entry))}\n`);
          // A slow reader must not make the rest of the record wait in memory.
          if (!process.stdout.write(lines.join(''))) await once(process.stdout, 'drain');
        }
      }),
    );
  },
};

interface Filter {
  readonly actor?: string;
  readonly action?: string;
  readonly kind?: string;
  readonly object?: string;
  readonly denied?: boolean;
  readonly since?: number;
  readonly until?: number;
}

function filterOptions(command: Command): Command {
  return command
    .option('--actor <name>', 'only by this agent, generator or admin key (name or id)')
    .option('--action <action>', 'only this action, such as CreateStack')
    .option('--kind <kind>', 'only on things of this kind, such as stack')
    .option('--object <name>', 'only on this thing (name or id)')
    .option('--denied', 'only calls that were denied')
    .option('--since <when>', 'not before, such as 24h (ago) or 2027-01-31T12:00:00Z', parsePast)
    .option('--until <when>', 'before then', parsePast);
}

function filterOf({ actor, action, kind, object, denied, since, until }: Filter) {
  return {
    actor,
    action,
    objectKind: kind,
    object,
    outcome: denied ? AuditOutcome.DENIED : undefined,
    startTime: since === undefined ? undefined : timestampFromMs(since),
    endTime: until === undefined ? undefined : timestampFromMs(until),
  };
}

/** "generator ci"; an operator at the database, and a caller without a valid key, have no role. */
function actorText(actor: AuditActor | undefined): string {
  if (!actor) return '';
  return actor.role === Role.UNSPECIFIED ? actor.name : `${labelOf(roleLabels, actor.role)} ${actor.name}`;
}

function isDenied(outcome: AuditOutcome): boolean {
  return outcome === AuditOutcome.DENIED;
}

function outcomeText({ outcome, code, count: times }: AuditEntry): string {
  if (!isDenied(outcome)) return 'done';
  return `denied ${code}${times > 1 ? ` x${times}` : ''}`.trim();
}

function unsealedText(entries: bigint, oldest: string): string {
  return entries === 0n ? 'none' : `${entries}, the oldest of ${oldest}`;
}
