import { create } from '@bufbuild/protobuf';
import { timestampDate, timestampFromDate } from '@bufbuild/protobuf/wkt';
import type { ServiceImpl } from '@connectrpc/connect';
import type { AdminService } from '../../gen/brokkr/v1/admin_pb.ts';
import { type AuditEntry, AuditEntrySchema, AuditOutcome } from '../../gen/brokkr/v1/audit_pb.ts';
import { Role } from '../../gen/brokkr/v1/options_pb.ts';
import { roleOf } from '../access/roles.ts';
import type { Deps } from '../deps.ts';
import { principalOf } from '../rpc/principal.ts';
import type { Sql } from '../store/database.ts';
import { cutPage, makePageToken, readPage } from '../store/page.ts';
import { type Checked, verifyChain } from './seal.ts';
import { type Balance, balance, type EntryRow, firstStranger, listEntries } from './store.ts';

export function auditMethods({ db }: Deps): Pick<ServiceImpl<typeof AdminService>, 'listAuditEntries' | 'verifyAudit'> {
  return {
    async listAuditEntries(request, context) {
      const { actor, action, objectKind, object, oldestFirst } = request;
      const from = request.startTime && timestampDate(request.startTime);
      const until = request.endTime && timestampDate(request.endTime);
      const outcome = outcomeOf(request.outcome);
      const caller = principalOf(context).ownerId;
      const scope = [
        'audit',
        caller,
        actor,
        action,
        objectKind,
        object,
        outcome ?? '',
        oldestFirst,
        from ?? '',
        until ?? '',
      ];
      const page = readPage(request, scope);
      const filter = { actor, action, objectKind, object, outcome, from, until, oldestFirst };
      const rows = await listEntries(db, { ...filter, after: page.after, limit: page.size + 1 });
      const cut = cutPage(rows, page, scope, (row) => [row.id]);
      return { entries: cut.rows.map(toMessage), nextPageToken: cut.nextPageToken };
    },

    async verifyAudit({ pageToken }, context) {
      const scope = ['verify-audit', principalOf(context).ownerId];
      const { after } = readPage({ pageSize: 0, pageToken }, scope);
      const verdict = await verifyChain(db, context.signal, { from: after && checkedOf(after) });
      const { entries, seals, head } = verdict;
      const looked = { entries, seals, head };
      if (verdict.more) return { ...looked, intact: true, nextPageToken: makePageToken(keysOf(verdict), scope) };
      const counts = await balance(db);
      const { problem, entry } = verdict.problem === '' ? await tailProblem(db, counts) : { ...verdict, entry: null };
      return {
        ...looked,
        intact: problem === '',
        problem,
        firstBrokenEntry: BigInt(entry ?? verdict.brokenEntry),
        firstBrokenSeal: verdict.brokenSeal,
        unsealedEntries: BigInt(counts.unsealed),
        oldestUnsealedTime: counts.oldest_unsealed ? timestampFromDate(counts.oldest_unsealed) : undefined,
      };
    },
  };
}

function keysOf({ seal, head, entries, seals }: Checked): string[] {
  return [String(seal), head.toString('hex'), String(entries), String(seals)];
}

function checkedOf([seal = '', head = '', entries = '', seals = '']: readonly string[]): Checked {
  return { seal: BigInt(seal), head: Buffer.from(head, 'hex'), entries: BigInt(entries), seals: BigInt(seals) };
}

/** What is wrong with entries that no seal closes: one that waits for a seal was removed, or one came past the broker. */
async function tailProblem(db: Sql, counts: Balance): Promise<{ problem: string; entry: string | null }> {
  if (counts.lost !== null) return { problem: `entry ${counts.lost} is missing`, entry: counts.lost };
  const strangers = BigInt(counts.entries) - BigInt(counts.sealed) - BigInt(counts.unsealed);
  const first = strangers > 0n ? await firstStranger(db) : undefined;
  if (first === undefined) return { problem: '', entry: null };
  return { problem: `entry ${first} is in no seal and waits for none`, entry: first };
}

function outcomeOf(outcome: AuditOutcome): 'done' | 'denied' | undefined {
  if (outcome === AuditOutcome.DONE) return 'done';
  return outcome === AuditOutcome.DENIED ? 'denied' : undefined;
}

function toMessage(row: EntryRow): AuditEntry {
  const { actor_role: role } = row;
  return create(AuditEntrySchema, {
    id: BigInt(row.id),
    time: timestampFromDate(row.at),
    actor: {
      role: role === 'operator' || role === 'nobody' ? Role.UNSPECIFIED : roleOf[role],
      name: row.actor_name,
      id: row.actor_id ?? '',
      shortToken: row.key_short,
    },
    action: row.action,
    objectKind: row.object_kind,
    objectId: row.object_id,
    object: row.object_name,
    beforeDigest: row.before_digest ?? undefined,
    afterDigest: row.after_digest ?? undefined,
    sourceAddress: row.source,
    requestId: row.request_id,
    outcome: row.outcome === 'done' ? AuditOutcome.DONE : AuditOutcome.DENIED,
    code: row.code,
    count: row.count,
    seal: BigInt(row.seal ?? 0),
  });
}
