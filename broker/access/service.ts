import { create } from '@bufbuild/protobuf';
import { type Duration, durationMs, timestampDate, timestampFromDate } from '@bufbuild/protobuf/wkt';
import type { ServiceImpl } from '@connectrpc/connect';
import type { AdminService } from '../../gen/brokkr/v1/admin_pb.ts';
import type { BrokerService } from '../../gen/brokkr/v1/broker_pb.ts';
import {
  CreateAdminPakResponseSchema,
  type Pak,
  PakSchema,
  RevokePakResponseSchema,
  RotatePakResponseSchema,
} from '../../gen/brokkr/v1/pak_pb.ts';
import type { Deps } from '../deps.ts';
import { mutate } from '../rpc/mutate.ts';
import { principalOf } from '../rpc/principal.ts';
import { cutPage, readPage } from '../store/page.ts';
import { issueAdminPak, rotateOwnPak } from './issue.ts';
import { revokePak } from './revoke.ts';
import { roleOf } from './roles.ts';
import { checkExpiry, defaultOverlapMs, type PakRow, recordPak, shortToken } from './rules.ts';
import { keyById, listKeys } from './store.ts';

/** Implements the RPCs with which every caller manages its own key. `version` is the broker's. */
export function ownKeyMethods({
  db,
  version,
}: Deps & { version: string }): Pick<ServiceImpl<typeof BrokerService>, 'whoAmI' | 'rotatePak'> {
  return {
    async whoAmI(_request, context) {
      const principal = principalOf(context);
      const key = await keyById(db, principal.keyId);
      return {
        role: roleOf[principal.role],
        name: principal.ownerName,
        id: principal.ownerId,
        shortToken: principal.shortToken,
        expireTime: key.expiresAt ? timestampFromDate(key.expiresAt) : undefined,
        brokerVersion: version,
      };
    },

    rotatePak: (request, context) =>
      mutate(db, context, request, RotatePakResponseSchema, async (tx, principal, note) => {
        const { pak, row } = await rotateOwnPak(tx, principal.keyId, overlapOf(request.overlap));
        recordPak(note, row);
        return create(RotatePakResponseSchema, { pak, info: toMessage(row) });
      }),
  };
}

type KeyMethods = 'createAdminPak' | 'listPaks' | 'revokePak';

/** Implements the RPCs with which admins manage keys. */
export function keyMethods({ db, now }: Deps): Pick<ServiceImpl<typeof AdminService>, KeyMethods> {
  return {
    createAdminPak: (request, context) =>
      mutate(db, context, request, CreateAdminPakResponseSchema, async (tx, _principal, note) => {
        const expiresAt = request.expireTime ? timestampDate(request.expireTime) : null;
        checkExpiry(expiresAt, now());
        const { pak, row } = await issueAdminPak(
          tx,
          { role: request.readOnly ? 'ro' : 'ad', name: request.name },
          expiresAt,
        );
        recordPak(note, row);
        return create(CreateAdminPakResponseSchema, { pak, info: toMessage(row) });
      }),

    async listPaks(request, context) {
      const scope = ['paks', principalOf(context).ownerId, request.owner, request.showEnded];
      const page = readPage(request, scope);
      const rows = await listKeys(db, {
        owner: request.owner,
        showEnded: request.showEnded,
        after: page.after,
        limit: page.size + 1,
      });
      const cut = cutPage(rows, page, scope, (row) => [row.id]);
      return { paks: cut.rows.map(toMessage), nextPageToken: cut.nextPageToken };
    },

    revokePak: (request, context) =>
      mutate(db, context, request, RevokePakResponseSchema, async (tx, _principal, note) => {
        const { before, row } = await revokePak(tx, request.pak);
        recordPak(note, row, before);
        return create(RevokePakResponseSchema, { info: toMessage(row) });
      }),
  };
}

/** Returns how long the old key stays valid after a rotation, in milliseconds. */
export function overlapOf(overlap: Duration | undefined): number {
  return overlap ? durationMs(overlap) : defaultOverlapMs;
}

/** Converts a key's row, which has no secret, to a message. */
export function toMessage(row: PakRow): Pak {
  return create(PakSchema, {
    id: row.id,
    shortToken: shortToken(row),
    role: roleOf[row.role],
    owner: row.owner,
    createTime: timestampFromDate(row.createdAt),
    expireTime: row.expiresAt ? timestampFromDate(row.expiresAt) : undefined,
    revokeTime: row.revokedAt ? timestampFromDate(row.revokedAt) : undefined,
    lastUseTime: row.lastUsedAt ? timestampFromDate(row.lastUsedAt) : undefined,
  });
}
