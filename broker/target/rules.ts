import type { TargetEntry, TargetState } from '../../contract/target-state.ts';

/** What identifies the current target state of an agent, without its entries. */
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

/** What a page may hold: entries, and manifests while they fit. */
const pageBytes = 1 << 20;
/** Ids, numbers and their tags. */
const plainEntryBytes = 220;

export interface PagePlan {
  readonly entries: readonly TargetEntry[];
  /** Checksums, in hex, of manifests to send with this page. */
  readonly inline: readonly string[];
  /** Index of the next page's first entry; undefined on the last page. */
  readonly next: number | undefined;
}

/** Plans the page that begins at an entry: at most 1 MiB, with the manifests that the agent does not hold while there is room. */
export function planPage(entries: readonly TargetEntry[], start: number, have: ReadonlySet<string>): PagePlan {
  const page: TargetEntry[] = [];
  let room = pageBytes;
  for (let at = start; at < entries.length; at += 1) {
    const entry = entries[at] as TargetEntry;
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

/** About what an entry takes on the wire; three bytes for a character is the most that UTF-8 makes of one. */
function bytesOf(entry: TargetEntry): number {
  const ignored = entry.ignoredFields.flatMap(({ kind, name, paths }) => [kind, name, ...paths]);
  const words = [entry.stack, entry.generator, entry.traceParent, ...entry.kinds, ...entry.dependsOnIds, ...ignored];
  return words.reduce((sum, word) => sum + word.length + 4, plainEntryBytes + 3 * entry.reason.length);
}

/** A page token is bound to the digest: pages of two states never mix. */
export function makePageToken(digest: Uint8Array, next: number | undefined): string {
  return next === undefined ? '' : `${Buffer.from(digest).toString('hex')}.${next}`;
}

/** Where a token points in this state; undefined when it is for another state, or none at all. */
export function readPageToken(token: string, digest: Uint8Array): number | undefined {
  const match = /^([0-9a-f]{64})\.([0-9]{1,6})$/.exec(token);
  return match && match[1] === Buffer.from(digest).toString('hex') ? Number(match[2]) : undefined;
}
