import { Role } from '../../gen/brokkr/v1/options_pb.ts';
import type { Actor } from '../audit/rules.ts';
import type { Principal } from '../rpc/principal.ts';
import type { KeyOwner, KeyRole, PakRow } from './rules.ts';

/** What the two letters in a key's text mean on the wire. */
export const roleOf = {
  ad: Role.ADMIN,
  ro: Role.READ_ONLY,
  ge: Role.GENERATOR,
  ag: Role.AGENT,
  en: Role.ENROLLMENT,
} as const satisfies Record<KeyRole, Role>;

/** Who speaks with a key. */
export function toPrincipal(row: PakRow, signal: AbortSignal): Principal {
  return {
    keyId: row.id,
    role: roleOf[row.role],
    ownerId: row.owner_id,
    ownerName: row.owner,
    shortToken: shortToken(row),
    signal,
  };
}

/** A caller, as the record names it. */
export function actorOf(principal: Principal): Actor {
  const role = (Object.keys(roleOf) as KeyRole[]).find((name) => roleOf[name] === principal.role);
  if (!role) throw new Error(`role ${principal.role} is no key's`);
  return { role, id: principal.ownerId, name: principal.ownerName, shortToken: principal.shortToken };
}

/** Whose keys a row belongs to: what a rotation replaces. */
export function ownerOfKey(row: PakRow): KeyOwner {
  switch (row.role) {
    case 'ad':
    case 'ro':
    case 'en':
      return { role: row.role, name: row.owner };
    case 'ge':
      return { role: 'ge', generatorId: row.owner_id };
    case 'ag':
      return { role: 'ag', agentId: row.owner_id };
  }
}

/** The public part of a key's text. */
export function shortToken(row: PakRow): string {
  return `${row.role}${row.short}`;
}
