import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync } from 'node:fs';
import { readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Manifests on disk, by checksum. They may hold Secrets: nobody else may read the folder. */
export interface ManifestStore {
  /** Checksums of what is held. */
  readonly held: ReadonlySet<string>;
  /** Undefined when it is not held, or not what it should be. */
  read(checksum: string): Promise<Uint8Array | undefined>;
  /** Refuses bytes that do not have the checksum: false. */
  write(checksum: string, data: Uint8Array): Promise<boolean>;
  /** Deletes all but these. */
  keepOnly(checksums: ReadonlySet<string>): Promise<void>;
  /** Deletes the folder, when it was made for this process only. */
  close(): Promise<void>;
}

const nameShape = /^[0-9a-f]{64}$/;

/** Opens the folder, made when missing; without a name, a new one. Throws one clear line when it cannot be used. */
export async function openManifestStore(stateDir: string | undefined): Promise<ManifestStore> {
  const folder = openFolder(stateDir);
  const held = new Set((await readdir(folder)).filter((name) => nameShape.test(name)));
  return {
    held,
    async read(checksum) {
      if (!held.has(checksum)) return undefined;
      const data = await readFile(join(folder, checksum)).catch(() => undefined);
      if (data && sha256(data) === checksum) return data;
      held.delete(checksum);
      return undefined;
    },
    async write(checksum, data) {
      if (sha256(data) !== checksum) return false;
      if (held.has(checksum)) return true;
      // Whole or not at all, whatever happens.
      const partial = join(folder, `${checksum}.${process.pid}.part`);
      await writeFile(partial, data, { mode: 0o600 });
      await rename(partial, join(folder, checksum));
      held.add(checksum);
      return true;
    },
    async keepOnly(checksums) {
      for (const checksum of [...held]) {
        if (checksums.has(checksum)) continue;
        held.delete(checksum);
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
