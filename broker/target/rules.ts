import type { TargetEntry, TargetState } from '../../contract/target-state.ts';

/** The identity of an agent's current target state, without the entries. */
export interface Summary {
  readonly agentId: string;
  readonly epoch: bigint;
  readonly incarnation: bigint;
  readonly paused: boolean;
  /** Equal digests mean equal target states; see `hashTargetState`. */
  readonly digest: Buffer;
}

/** The whole target state of an agent, as one read of the database saw it. */
export interface AgentTargetState extends Summary, TargetState {}

/** Limit for the entries and manifests of a page. */
const pageBytes = 1 << 20;
/** Bytes of an entry's ids, numbers and tags. */
const fixedEntryBytes = 220;

export interface PagePlan {
  readonly entries: readonly TargetEntry[];
  /** Checksums, in hex, of the manifests to send with this page. */
  readonly inline: readonly string[];
  /** Index of the next page's first entry; undefined on the last page. */
  readonly next: number | undefined;
}

/** Plans the page that starts with an entry: at most 1 MiB, with the manifests that the agent lacks as long as they fit. */
export function planPage(entries: readonly TargetEntry[], start: number, have: ReadonlySet<string>): PagePlan {
  const page: TargetEntry[] = [];
  let room = pageBytes;
  for (const entry of entries.slice(start)) {
    const bytes = bytesOf(entry);
    if (bytes > room && page.length > 0) break;
    page.push(entry);
    room -= bytes;
  }
  const inline = new Set<string>();
  for (const entry of page) {
    const { checksum } = entry;
    if (entry.state !== 'active' || inline.has(checksum) || have.has(checksum) || entry.size > room) continue;
    inline.add(checksum);
    room -= entry.size;
  }
  const next = start + page.length;
  return { entries: page, inline: [...inline], next: next < entries.length ? next : undefined };
}

/** Estimates the bytes of an entry on the wire. In UTF-8 a UTF-16 code unit takes at most three bytes. */
function bytesOf(entry: TargetEntry): number {
  const ignored = entry.ignoredFields.flatMap(({ kind, name, paths }) => [kind, name, ...paths]);
  const texts = [entry.stack, entry.generator, entry.traceParent, ...entry.kinds, ...entry.dependsOnIds, ...ignored];
  return texts.reduce((sum, text) => sum + text.length + 4, fixedEntryBytes + 3 * entry.reason.length);
}

/** Makes a page token, bound to the digest, so that pages of two states never mix; empty after the last page. */
export function makePageToken(digest: Uint8Array, next: number | undefined): string {
  return next === undefined ? '' : `${Buffer.from(digest).toString('hex')}.${next}`;
}

/** Returns the index of the first entry of a token's page; undefined for a token of another state, or a text that is no token. */
export function readPageToken(token: string, digest: Uint8Array): number | undefined {
  const match = /^([0-9a-f]{64})\.([0-9]{1,6})$/.exec(token);
  return match && match[1] === Buffer.from(digest).toString('hex') ? Number(match[2]) : undefined;
}
