import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync } from 'node:fs';
import { readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Manifests on disk, by checksum. They may contain Secrets, so only the agent's user may read the folder. */
export interface ManifestCache {
  /** Checksums of the cached manifests. */
  readonly checksums: ReadonlySet<string>;
  /** Reads a manifest; undefined when it is not cached, or its file does not have the checksum. */
  read(checksum: string): Promise<Uint8Array | undefined>;
  /** Writes a manifest. Returns false, and writes nothing, when the data does not have the checksum. */
  write(checksum: string, data: Uint8Array): Promise<boolean>;
  /** Deletes all manifests but these. */
  keepOnly(checksums: ReadonlySet<string>): Promise<void>;
  /** Deletes the folder if it was created for this process only. */
  close(): Promise<void>;
}

const checksumPattern = /^[0-9a-f]{64}$/;

/**
 * Opens the folder and creates it when missing; without `stateDir`, a temporary one. Rejects with a one-line Error when it is
 * unusable.
 */
export async function openManifestCache(stateDir: string | undefined): Promise<ManifestCache> {
  const folder = openFolder(stateDir);
  const cached = new Set((await readdir(folder)).filter((name) => checksumPattern.test(name)));
  return {
    checksums: cached,
    async read(checksum) {
      if (!cached.has(checksum)) return undefined;
      const data = await readFile(join(folder, checksum)).catch(() => undefined);
      if (data && sha256(data) === checksum) return data;
      cached.delete(checksum);
      return undefined;
    },
    async write(checksum, data) {
      if (sha256(data) !== checksum) return false;
      if (cached.has(checksum)) return true;
      // The rename makes sure that a crash leaves no half-written manifest under its checksum.
      const partial = join(folder, `${checksum}.${process.pid}.part`);
      await writeFile(partial, data, { mode: 0o600 });
      await rename(partial, join(folder, checksum));
      cached.add(checksum);
      return true;
    },
    async keepOnly(checksums) {
      for (const checksum of [...cached]) {
        if (checksums.has(checksum)) continue;
        cached.delete(checksum);
        await rm(join(folder, checksum), { force: true });
      }
    },
    async close() {
      if (stateDir === undefined) await rm(folder, { recursive: true, force: true });
    },
  };
}

function openFolder(stateDir: string | undefined): string {
  if (stateDir === undefined) return mkdtempSync(join(tmpdir(), 'brokkr-agent-'));
  try {
    mkdirSync(stateDir, { recursive: true, mode: 0o700 });
    chmodSync(stateDir, 0o700);
    return stateDir;
  } catch (error) {
    throw new Error(
      `the state folder ${stateDir} cannot be used: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}

function sha256(data: Uint8Array): string {
  return createHash('sha256').update(data).digest('hex');
}
