import { createHash } from 'node:crypto';
import type { Database } from '../store/orm.ts';
import { lockStaleManifests, replaceManifest } from './store.ts';

const manifestsInBatch = 20;

/**
 * Encrypts every manifest with the first key that is not encrypted with it yet; without keys, decrypts all of them. Each content is
 * compared with its checksum first. May be stopped and run again at any time. Returns the number of manifests rewritten.
 */
export async function reencrypt(db: Database, signal?: AbortSignal): Promise<number> {
  let rewritten = 0;
  for (;;) {
    signal?.throwIfAborted();
    const count = await db.transact(async (tx) => {
      const stale = await lockStaleManifests(tx, manifestsInBatch);
      for (const { checksum, data } of stale) {
        if (!createHash('sha256').update(data).digest().equals(checksum)) {
          throw new Error(`manifest ${checksum.toString('hex')} has other content than its checksum says`);
        }
        await replaceManifest(tx, checksum, data);
      }
      return stale.length;
    });
    if (count === 0) return rewritten;
    rewritten += count;
  }
}
