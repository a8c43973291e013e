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
import { jsonOf, printJson, printList, type View } from '../../output/view.ts';
import { allPages, eachPage } from '../../session/pages.ts';
import { type VerbDefinitions, withSession } from '../command.ts';

const auditView: View<typeof AuditEntrySchema> = {
  schema: AuditEntrySchema,
  listField: 'entries',
  name: ({ id }) => String(id),
  columns: [
    { title: 'ID', text: ({ id }) => String(id), drop: 2 },
    { title: 'TIME', text: ({ time }) => (time ? timestampDate(time).toISOString() : '') },
    { title: 'ACTOR', text: ({ actor }) => actorText(actor) },
    { title: 'ACTION', text: ({ action }) => action },
    { title: 'OBJECT', text: ({ objectKind, object, objectId }) => `${objectKind} ${object || objectId}`.trim() },
    { title: 'OUTCOME', text: outcomeText, tone: ({ outcome }) => (isDenied(outcome) ? 'bad' : undefined) },
    { title: 'FROM', text: ({ sourceAddress }) => sourceAddress, drop: 1 },
  ],
};

/** Entries shown by default; --limit 0 shows all. */
const defaultLimit = 1_000;

export const verbs: VerbDefinitions = {
  get: (command) =>
    filterOptions(command.command('audit').description('audit entries, newest first'))
      .option('--limit <count>', 'maximum number to show; 0 for all', parseLimit, defaultLimit)
      .action(
        withSession(async ({ admin, output }, options: Filter & { limit: number }) => {
          const entries = await allPages(
            (page) => admin.listAuditEntries({ ...filterOf(options), ...page }),
            (page) => page.entries,
            options.limit,
          );
          printList(output, auditView, entries);
          if (entries.length === options.limit)
            output.note(`showing only the newest ${options.limit}; --limit 0 shows all`);
        }),
      ),

  audit: (command) => {
    command
      .command('verify')
      .description('recompute the chain of seals; fails if the audit log was changed')
      .action(
        withSession(async ({ admin, output }) => {
          let response = await admin.verifyAudit({});
          while (response.nextPageToken !== '')
            response = await admin.verifyAudit({ pageToken: response.nextPageToken });
          if (output.format === 'table') {
            printFields(output, [
              ['Intact', response.intact ? 'yes' : 'no'],
              ['Entries', `${response.entries} in ${pluralize(Number(response.seals), 'seal')}`],
              ['Not sealed yet', unsealedText(response.unsealedEntries, timestampText(response.oldestUnsealedTime))],
              ['Head', Buffer.from(response.head).toString('hex')],
            ]);
          } else if (output.format === 'name') output.line(Buffer.from(response.head).toString('hex'));
          else printJson(output, jsonOf(VerifyAuditResponseSchema, response));
          if (!response.intact) throw new Failure(`the audit log is not intact: ${response.problem}`);
        }),
      );
    filterOptions(command.command('export').description('all entries as JSON, one per line, oldest first')).action(
      withSession(async ({ admin }, options: Filter) => {
        const filter = { ...filterOf(options), oldestFirst: true };
        for await (const { entries } of eachPage((page) => admin.listAuditEntries({ ...filter, ...page }))) {
          const lines = entries.map((entry) => `${JSON.stringify(jsonOf(AuditEntrySchema, entry))}\n`);
          // Waits for a slow reader, so that the rest of the log does not pile up in memory.
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
    .option('--actor <name>', 'only those of this agent, generator or admin key (name or id)')
    .option('--action <action>', 'only those of this action, such as CreateStack')
    .option('--kind <kind>', 'only those on objects of this kind, such as stack')
    .option('--object <name>', 'only those on this object (name or id)')
    .option('--denied', 'only denied calls')
    .option('--since <when>', 'start time, such as 24h (ago) or 2027-01-31T12:00:00Z', parsePast)
    .option('--until <when>', 'end time (exclusive)', parsePast);
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

/** Names an actor: "generator ci". Operators with database access and callers without a valid key have no role. */
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
  return entries === 0n ? 'none' : `${entries}, the oldest from ${oldest}`;
}
