import type { ServiceImpl } from '@connectrpc/connect';
import type { AgentService } from '../../gen/brokkr/v1/agent_pb.ts';
import { invalidKey } from '../access/rules.ts';
import { requireIncarnation } from '../agent/rules.ts';
import type { Deps } from '../deps.ts';
import { Refusal } from '../refusal.ts';
import { principalOf } from '../rpc/principal.ts';
import type { Database } from '../store/database.ts';
import type { TargetStates } from './cache.ts';
import { ownManifests, readManifests } from './store.ts';

const chunkBytes = 256 << 10;
/** Manifests are read in portions of about this size, so that the 60 MiB of an agent without a cache are never in memory at once. */
const portionBytes = 4 << 20;

/** GetManifests sends manifests in chunks. One that cannot be decrypted ends the stream with NOT_FOUND, after all the others. */
export function manifestMethods({
  db,
  log,
  targets,
}: Deps & { targets: TargetStates }): Pick<ServiceImpl<typeof AgentService>, 'getManifests'> {
  return {
    async *getManifests(request, context) {
      const { ownerId: agentId, signal: keyEnded } = principalOf(context);
      requireIncarnation(await targets.incarnationOf(agentId), request.incarnation);
      const requested = request.checksums.map((checksum) => Buffer.from(checksum));
      const sizes = await ownManifests(db, agentId, requested);
      requireOwn(requested, sizes);
      let unreadable: Buffer | undefined;
      for (const [index, portion] of [...portions(requested, sizes)].entries()) {
        // A slow reader may take minutes for each portion, so its rights are checked again.
        const manifests = await readOwn(db, portion, index === 0 ? sizes : await ownManifests(db, agentId, portion));
        for (const checksum of portion) {
          const bytes = manifests.get(checksum.toString('hex'));
          if (!bytes) {
            unreadable = checksum;
            continue;
          }
          for (const chunk of chunks(bytes)) {
            if (keyEnded?.aborted) throw invalidKey();
            yield { checksum, ...chunk };
          }
        }
      }
      if (unreadable) {
        const checksum = unreadable.toString('hex');
        log.error({ checksum }, 'a manifest cannot be decrypted');
        throw new Refusal('not_found', `manifest ${checksum} cannot be read`, {
          field: 'checksums',
          reason: 'NO_SUCH_MANIFEST',
        });
      }
    },
  };
}

/** Refuses checksums of manifests that no stack of the agent refers to. */
function requireOwn(requested: readonly Buffer[], sizes: ReadonlyMap<string, number>): void {
  const foreign = requested.map((checksum) => checksum.toString('hex')).find((checksum) => !sizes.has(checksum));
  if (foreign === undefined) return;
  throw new Refusal('not_found', `manifest ${foreign} not found`, { field: 'checksums', reason: 'NO_SUCH_MANIFEST' });
}

function readOwn(
  db: Database,
  checksums: readonly Buffer[],
  own: ReadonlyMap<string, number>,
): Promise<Map<string, Buffer>> {
  return readManifests(
    db,
    checksums.filter((checksum) => own.has(checksum.toString('hex'))),
  );
}

function* portions(checksums: readonly Buffer[], sizes: ReadonlyMap<string, number>): Generator<Buffer[]> {
  let portion: Buffer[] = [];
  let bytes = 0;
  for (const checksum of checksums) {
    portion.push(checksum);
    bytes += sizes.get(checksum.toString('hex')) ?? 0;
    if (bytes < portionBytes) continue;
    yield portion;
    portion = [];
    bytes = 0;
  }
  if (portion.length > 0) yield portion;
}

/** Cuts a manifest into chunks; an empty one makes one empty chunk. */
function* chunks(bytes: Buffer): Generator<{ data: Buffer; last: boolean }> {
  for (let offset = 0; offset === 0 || offset < bytes.length; offset += chunkBytes) {
    const end = offset + chunkBytes;
    yield { data: bytes.subarray(offset, end), last: end >= bytes.length };
  }
}
