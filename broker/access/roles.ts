import { Role } from '../../gen/brokkr/v1/options_pb.ts';
import type { KeyRole } from './rules.ts';

/** The role on the wire for the two letters in a key's text. */
export const roleOf = {
  ad: Role.ADMIN,
  ro: Role.READ_ONLY,
  ge: Role.GENERATOR,
  ag: Role.AGENT,
  en: Role.ENROLLMENT,
} as const satisfies Record<KeyRole, Role>;
