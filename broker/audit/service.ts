import { create } from '@bufbuild/protobuf';
import { timestampDate, timestampFromDate } from '@bufbuild/protobuf/wkt';
import type { ServiceImpl } from '@connectrpc/connect';
import type { AdminService } from '../../gen/brokkr/v1/admin_pb.ts';
import { type AuditEntry, AuditEntrySchema, AuditOutcome } from '../../gen/brokkr/v1/audit_pb.ts';
import { Role } from '../../gen/brokkr/v1/options_pb.ts';
import { roleOf } from '../access/roles.ts';
import type { Deps } from '../deps.ts';
import { principalOf } from '../rpc/principal.ts';
import type { Sql } from '../store/orm.ts';
import { cutPage, makePageToken, readPage } from '../store/page.ts';
import { type ChainPosition, verifyChain } from './seal.ts';
import { type AuditCounts, countEntries, type EntryRow, firstUnaccountedEntry, listEntries } from './store.ts';

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
      const verified = { entries, seals, head };
      if (verdict.more) return { ...verified, intact: true, nextPageToken: makePageToken(keysOf(verdict), scope) };
      const counts = await countEntries(db);
      const { problem, entry } = verdict.problem === '' ? await tailProblem(db, counts) : { ...verdict, entry: null };
      return {
        ...verified,
        intact: problem === '',
        problem,
        firstBrokenEntry: BigInt(entry ?? verdict.brokenEntry),
        firstBrokenSeal: verdict.brokenSeal,
        unsealedEntries: BigInt(counts.unsealed),
        oldestUnsealedTime: counts.oldestUnsealedAt ? timestampFromDate(counts.oldestUnsealedAt) : undefined,
      };
    },
  };
}

function keysOf({ seal, head, entries, seals }: ChainPosition): string[] {
  return [String(seal), head.toString('hex'), String(entries), String(seals)];
}

function checkedOf([seal = '', head = '', entries = '', seals = '']: readonly string[]): ChainPosition {
  return { seal: BigInt(seal), head: Buffer.from(head, 'hex'), entries: BigInt(entries), seals: BigInt(seals) };
}

/** Finds a problem with the entries without a seal: one was removed, or one was not written by the broker. */
async function tailProblem(db: Sql, counts: AuditCounts): Promise<{ problem: string; entry: string | null }> {
  if (counts.missing !== null) return { problem: `entry ${counts.missing} is missing`, entry: counts.missing };
  const unaccounted = BigInt(counts.entries) - BigInt(counts.sealed) - BigInt(counts.unsealed);
  const first = unaccounted > 0n ? await firstUnaccountedEntry(db) : undefined;
  if (first === undefined) return { problem: '', entry: null };
  return { problem: `entry ${first} is in no seal and waits for none`, entry: first };
}

function outcomeOf(outcome: AuditOutcome): 'done' | 'denied' | undefined {
  if (outcome === AuditOutcome.DONE) return 'done';
  return outcome === AuditOutcome.DENIED ? 'denied' : undefined;
}

function toMessage(row: EntryRow): AuditEntry {
  const { actorRole: role } = row;
  return create(AuditEntrySchema, {
    id: BigInt(row.id),
    time: timestampFromDate(row.at),
    actor: {
      role: role === 'operator' || role === 'nobody' ? Role.UNSPECIFIED : roleOf[role],
      name: row.actorName,
      id: row.actorId ?? '',
      shortToken: row.keyShort,
    },
    action: row.action,
    objectKind: row.objectKind,
    objectId: row.objectId,
    object: row.objectName,
    beforeDigest: row.beforeDigest ?? undefined,
    afterDigest: row.afterDigest ?? undefined,
    sourceAddress: row.source,
    requestId: row.requestId,
    outcome: row.outcome === 'done' ? AuditOutcome.DONE : AuditOutcome.DENIED,
    code: row.code,
    count: row.count,
    seal: BigInt(row.seal ?? 0),
  });
}
