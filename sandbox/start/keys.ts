import { randomUUID } from 'node:crypto';
import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import type { AgentKeys } from '../fleet.ts';

/** State that a later start needs to continue with the same agents, in a file that only this user may read. */
export interface StartKeys extends AgentKeys {
  /** Key of the first admin until it has been shown. */
  firstAdmin: string | undefined;
  /** Key that `npm start` itself uses. */
  ownAdmin: string | undefined;
  /** True once the sample stack was submitted: a user who deletes it does not get it back. */
  sampleDone: boolean;
}

interface StoredKeys {
  readonly owner: string;
  readonly firstAdmin?: string;
  readonly ownAdmin?: string;
  readonly sampleDone?: boolean;
  readonly agents: Record<string, { readonly id: string; readonly pak: string }>;
}

/** Opens the file; every change is written at once. */
export function openKeys(file: string): StartKeys {
  let stored = readKeys(file) ?? { owner: randomUUID(), agents: {} };
  const change = (change: Partial<StoredKeys>) => {
    stored = { ...stored, ...change };
    writeKeys(file, stored);
  };
  change({});
  return {
    owner: stored.owner,
    find: (name) => stored.agents[name],
    store: (name, agent) => change({ agents: { ...stored.agents, [name]: agent } }),
    get firstAdmin() {
      return stored.firstAdmin;
    },
    set firstAdmin(firstAdmin) {
      change({ firstAdmin });
    },
    get ownAdmin() {
      return stored.ownAdmin;
    },
    set ownAdmin(ownAdmin) {
      change({ ownAdmin });
    },
    get sampleDone() {
      return stored.sampleDone ?? false;
    },
    set sampleDone(sampleDone) {
      change({ sampleDone });
    },
  };
}

function readKeys(file: string): StoredKeys | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as StoredKeys;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new Error(`${file} cannot be read: ${(error as Error).message}`, { cause: error });
  }
}

/** A key that the broker has committed must survive a crash of this process or machine. */
function writeKeys(file: string, stored: StoredKeys): void {
  mkdirSync(dirname(file), { recursive: true, mode: 0o711 });
  const descriptor = openSync(`${file}.new`, 'w', 0o600);
  try {
    writeSync(descriptor, JSON.stringify(stored, null, 2));
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
  renameSync(`${file}.new`, file);
}
