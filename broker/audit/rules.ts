import { createHash } from 'node:crypto';

/** The author of an action: the holder of a key, an operator at the database, or a caller without a valid key. */
export interface Actor {
  readonly role: 'ad' | 'ro' | 'ge' | 'ag' | 'en' | 'operator' | 'nobody';
  readonly id: string | null;
  readonly name: string;
  /** The key's public part; empty without one. */
  readonly shortToken: string;
}

const operator: Actor = { role: 'operator', id: null, name: 'operator', shortToken: '' };

/** A caller without a valid key, or several callers at once. */
export const nobody: Actor = { role: 'nobody', id: null, name: '', shortToken: '' };

/** An entry for one change, or for some denied calls, before it is written. */
export interface NewEntry {
  readonly actor: Actor;
  readonly action: string;
  /** Empty for denied calls. */
  readonly objectKind: ObjectKind | '';
  readonly objectId: string;
  readonly objectName: string;
  readonly before: Uint8Array | null;
  readonly after: Uint8Array | null;
  readonly source: string;
  readonly requestId: string;
  readonly outcome: 'done' | 'denied';
  /** Name of the gRPC code; empty for a change. */
  readonly code: string;
  readonly count: number;
}

/** The columns of an entry as text, in the order in which they are hashed. */
export type SealedText = readonly (string | null)[];

/** Hashes an entry: SHA-256 of its columns as a JSON array. */
export function hashEntry(columns: SealedText): Buffer {
  return createHash('sha256').update(JSON.stringify(columns)).digest();
}

/** The hash that the very first seal follows. */
export const genesis = Buffer.alloc(32);

/** Hashes a seal: SHA-256 over the seal before it and the hashes of its entries. */
export function hashSeal(before: Uint8Array, entries: readonly Uint8Array[]): Buffer {
  const hash = createHash('sha256').update(before);
  for (const entry of entries) hash.update(entry);
  return hash.digest();
}

/**
 * Computes the digest of an object for the audit log: SHA-256 of its JSON with sorted keys; undefined values are left out. Pass rows
 * without secrets, and without the counts and times that other changes touch.
 */
export function digestOf(value: unknown): Buffer {
  return createHash('sha256')
    .update(JSON.stringify(sorted(value)))
    .digest();
}

/** Converts a value to what JSON can hold, with the keys of every object sorted. */
export function sorted(value: unknown): unknown {
  if (typeof value === 'bigint') return String(value);
  if (value instanceof Date) return value.toISOString();
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
  if (Array.isArray(value)) return value.map(sorted);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, inner]) => [key, sorted(inner)]),
  );
}

/** Takes down what a handler changes, for the audit entry of its call. Every handler fills it in once. */
export interface Note {
  /** Names the object of the change. `name` is for people, such as "generator/stack". */
  about(kind: ObjectKind, id: string, name: string): void;
  /** Takes the object as it was; not called for a new one. */
  before(value: unknown): void;
  /** Takes the object as it is now; not called when it is gone. */
  after(value: unknown): void;
}

export type ObjectKind =
  | 'stack'
  | 'deployment'
  | 'target'
  | 'placement'
  | 'agent'
  | 'generator'
  | 'registration'
  | 'pak'
  | 'diagnostic'
  | 'installation';

export interface NoteContent {
  readonly kind: ObjectKind;
  readonly id: string;
  readonly name: string;
  readonly before: Buffer | null;
  readonly after: Buffer | null;
}

/** Creates an empty note. `read` throws if nothing was noted: such a change must not be committed. */
export function createNote(): Note & { read(): NoteContent } {
  let subject: Pick<NoteContent, 'kind' | 'id' | 'name'> | undefined;
  let before: Buffer | null = null;
  let after: Buffer | null = null;
  return {
    about(kind, id, name) {
      subject = { kind, id, name };
    },
    before(value) {
      before = digestOf(value);
    },
    after(value) {
      after = digestOf(value);
    },
    read() {
      if (!subject) throw new Error('a change left its audit note empty');
      return { ...subject, before, after };
    },
  };
}

const installation: NoteContent = { kind: 'installation', id: '', name: '', before: null, after: null };

/** Creates the entry of an operator's action at the database; by default it concerns the installation as a whole. */
export function operatorEntry(action: string, content: NoteContent = installation): NewEntry {
  return {
    actor: operator,
    action,
    objectKind: content.kind,
    objectId: content.id,
    objectName: content.name,
    before: content.before,
    after: content.after,
    source: '',
    requestId: '',
    outcome: 'done',
    code: '',
    count: 1,
  };
}

/**
 * Names a row's fields as its columns, which is how the log's digests name them: a digest stays equal to that of an earlier release
 * for as long as the row does not change.
 */
export function toColumns(row: object): object {
  return Object.fromEntries(
    Object.entries(row).map(([field, value]) => [
      field.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
      value,
    ]),
  );
}
