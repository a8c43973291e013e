import { createHash } from 'node:crypto';
import type { Database } from '../store/database.ts';
import { lockStaleManifests, replaceManifest } from './store.ts';

const manifestsInStep = 20;

/**
 * Encrypts anew, with the key that comes first, every manifest that another key, or none, was used for; without keys, decrypts. Each
 * one's content is compared with its checksum first. May be stopped and run again at any time. Returns how many.
 */
export async function reencrypt(db: Database, signal?: AbortSignal): Promise<number> {
  let done = 0;
  for (;;) {
    signal?.throwIfAborted();
    const count = await db.transact(async (tx) => {
      const stale = await lockStaleManifests(tx, manifestsInStep);
      for (const { checksum, data } of stale) {
        if (!createHash('sha256').update(data).digest().equals(checksum)) {
          throw new Error(`manifest ${checksum.toString('hex')} has other content than its checksum says`);
        }
        await replaceManifest(tx, checksum, data);
      }
      return stale.length;
    });
    if (count === 0) return done;
    done += count;
  }
}
