import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Core } from './core.ts';
import type { KubeObject } from './object.ts';

const SAVE_MS = 500;

interface Snapshot {
  readonly revision: number;
  readonly objects: [resource: string, object: KubeObject][];
}

/** Restores what an earlier run saved. Returns false when there is no file. */
export function loadSnapshot(core: Core, file: string): boolean {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
  const { revision, objects } = JSON.parse(text) as Snapshot;
  core.store.restore(revision, objects);
  return true;
}

/** Saves shortly after each change. Returns a function that saves pending changes at once. */
export function saveOnChange(core: Core, file: string): () => void {
  let dirty = true;
  const save = () => {
    if (!dirty) return;
    dirty = false;
    const snapshot: Snapshot = {
      revision: core.store.revision,
      objects: [...core.store.all()].map(([resource, object]) => [resource, object]),
    };
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(`${file}.new`, JSON.stringify(snapshot), { mode: 0o600 });
    renameSync(`${file}.new`, file);
  };
  let scheduled = false;
  core.store.subscribe(() => {
    dirty = true;
    if (scheduled) return;
    scheduled = true;
    core.schedule(SAVE_MS, () => {
      scheduled = false;
      save();
    });
  });
  return save;
}
