import { createHash } from 'node:crypto';

/** Who did something: the holder of a key, an operator at the database, or somebody without a valid key. */
export interface Actor {
  readonly role: 'ad' | 'ro' | 'ge' | 'ag' | 'en' | 'operator' | 'nobody';
  readonly id: string | null;
  readonly name: string;
  /** The key's public part; empty without one. */
  readonly shortToken: string;
}

const operator: Actor = { role: 'operator', id: null, name: 'operator', shortToken: '' };

/** Somebody without a valid key, or several callers at once. */
export const nobody: Actor = { role: 'nobody', id: null, name: '', shortToken: '' };

/** What one change, or some denied calls, leave in the record. */
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
  /** A gRPC code's name; empty for a change. */
  readonly code: string;
  readonly count: number;
}

/** An entry's columns as text, in the order in which they are hashed. */
export type SealedText = readonly (string | null)[];

/** Hash of one entry: SHA-256 of its columns as a JSON array. */
export function hashEntry(columns: SealedText): Buffer {
  return createHash('sha256').update(JSON.stringify(columns)).digest();
}

/** What the first seal of all follows. */
export const genesis = Buffer.alloc(32);

/** Hash of a seal: SHA-256 over the seal before it and the hashes of its entries. */
export function hashSeal(before: Uint8Array, entries: readonly Uint8Array[]): Buffer {
  const hash = createHash('sha256').update(before);
  for (const entry of entries) hash.update(entry);
  return hash.digest();
}

/**
 * SHA-256 of a thing as the record knows it: JSON with sorted keys. Give it rows without secrets. Counts and times that others
 * change do not belong in it; what is undefined is left out.
 */
export function digestOf(value: unknown): Buffer {
  return createHash('sha256')
    .update(JSON.stringify(sorted(value)))
    .digest();
}

/** The value as JSON has it, with each object's keys in order. */
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

/** What handlers say about the change that they make; each says it once. */
export interface Note {
  /** What the change is about. `name` is for people, such as "generator/stack". */
  about(kind: ObjectKind, id: string, name: string): void;
  /** The thing as it was; not called for a new one. */
  before(value: unknown): void;
  /** The thing as it is now; not called when it is gone. */
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

export interface Noted {
  readonly kind: ObjectKind;
  readonly id: string;
  readonly name: string;
  readonly before: Buffer | null;
  readonly after: Buffer | null;
}

/** Collects a note. `read` throws when the handler has said nothing: such a change must not be committed. */
export function takeNote(): Note & { read(): Noted } {
  let subject: Pick<Noted, 'kind' | 'id' | 'name'> | undefined;
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
      if (!subject) throw new Error('a change that says nothing for the record');
      return { ...subject, before, after };
    },
  };
}

const installation: Noted = { kind: 'installation', id: '', name: '', before: null, after: null };

/** What an operator at the database leaves in the record, about the installation as a whole if about nothing else. */
export function operatorEntry(action: string, noted: Noted = installation): NewEntry {
  return {
    actor: operator,
    action,
    objectKind: noted.kind,
    objectId: noted.id,
    objectName: noted.name,
    before: noted.before,
    after: noted.after,
    source: '',
    requestId: '',
    outcome: 'done',
    code: '',
    count: 1,
  };
}
