import type { Sql } from '../store/database.ts';
import { invalidKey } from './rules.ts';

/**
 * The first statement of every mutation: refuses a key that has been revoked or has expired, whatever a cache still says.
 * A revocation that committed before is therefore never outrun.
 */
export async function requireLiveKey(tx: Sql, keyId: string): Promise<void> {
  const rows = await tx.sql(
    'select 1 from pak where id = $1 and revoked_at is null and (expires_at is null or expires_at > now())',
    [keyId],
  );
  if (rows.length === 0) throw invalidKey();
}
