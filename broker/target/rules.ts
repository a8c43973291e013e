import { createHash } from 'node:crypto';
import type { GeneratorLimits } from '../../client/generator-limits.ts';
import type { Conflict, Drift, IgnoredFields } from '../stack/rules.ts';

/** One stack of an agent's target state. */
export interface Entry {
  readonly stackId: string;
  readonly stack: string;
  readonly generator: string;
  readonly deploymentId: string;
  readonly revision: number;
  readonly order: bigint;
  readonly state: 'active' | 'removing';
  readonly generation: bigint;
  readonly checksum: Buffer;
  readonly size: number;
  readonly onDelete: 'prune' | 'orphan';
  readonly held: boolean;
  readonly confirmed: boolean;
  /** Of the objects whose deletion is confirmed, sorted; as the agent told them. */
  readonly confirmedKeys: readonly string[];
  readonly kinds: readonly string[];
  readonly reason: string;
  /** "namespace/name" to impersonate; empty for the agent's own rights. */
  readonly serviceAccount: string;
  readonly drift: Drift;
  readonly conflict: Conflict;
  readonly ignoredFields: readonly IgnoredFields[];
  /** Ascending; empty for a removal. */
  readonly dependsOnIds: readonly string[];
  /** Of the deployment's submission; empty for none. It goes with the deployment, so the digest needs it not. */
  readonly traceParent: string;
}

/** What the agent may apply for a generator. */
export interface TargetGenerator {
  readonly generator: string;
  readonly limits: GeneratorLimits;
}

/** What an agent is told, in short. */
export interface Summary {
  readonly agentId: string;
  readonly epoch: bigint;
  readonly incarnation: bigint;
  readonly paused: boolean;
  readonly digest: Buffer;
}

/** Everything an agent is told, as one read of the database saw it. */
export interface TargetState extends Summary {
  /** In order of stack id; empty while the agent is paused. */
  readonly entries: readonly Entry[];
  /** Generators of those entries, in order of their name. */
  readonly generators: readonly TargetGenerator[];
}

const stateNumbers = { active: 1, removing: 2 } as const;
const onDeleteNumbers = { prune: 1, orphan: 2 } as const;
const driftNumbers = { repair: 1, report: 2, ignore: 3 } as const;
const conflictNumbers = { adopt: 1, refuse: 2 } as const;

/**
 * SHA-256 over the epoch, the paused flag and every entry: equal digests mean that the agent is told the same. The agent computes
 * it from what it received and acts on nothing while the two differ, so the text is part of the contract.
 */
export function digestOf(state: Pick<TargetState, 'epoch' | 'paused' | 'entries' | 'generators'>): Buffer {
  const hash = createHash('sha256');
  hash.update(`epoch=${state.epoch};paused=${state.paused ? 1 : 0}\n`);
  for (const entry of state.entries) {
    const fields = [
      entry.stackId,
      entry.stack,
      entry.generator,
      entry.deploymentId,
      entry.revision,
      entry.order,
      stateNumbers[entry.state],
      entry.generation,
      entry.checksum.toString('hex'),
      entry.size,
      onDeleteNumbers[entry.onDelete],
      entry.held ? 1 : 0,
      entry.confirmed ? ['1', ...entry.confirmedKeys].join(',') : 0,
      entry.kinds.join(','),
      entry.reason,
      entry.serviceAccount,
      driftNumbers[entry.drift],
      conflictNumbers[entry.conflict],
      entry.dependsOnIds.join(','),
      entry.ignoredFields.map(({ kind, name, paths }) => `${kind}/${name}:${paths.join(',')}`).join(';'),
    ];
    hash.update(`${fields.join('|')}\n`);
  }
  for (const { generator, limits } of state.generators) {
    const lists = [limits.allowNamespaces, limits.denyNamespaces, limits.allowKinds, limits.denyKinds];
    hash.update(`${[generator, ...lists.map((list) => list.join(',')), limits.clusterScoped ? 1 : 0].join('|')}\n`);
  }
  return hash.digest();
}

/** What a page may hold: entries, and manifests while they fit. */
const pageBytes = 1 << 20;
/** Ids, numbers and their tags. */
const plainEntryBytes = 220;

export interface PagePlan {
  readonly entries: readonly Entry[];
  /** Checksums, in hex, of manifests to send with this page. */
  readonly inline: readonly string[];
  /** Index of the next page's first entry; undefined on the last page. */
  readonly next: number | undefined;
}

/** Plans the page that begins at an entry: at most 1 MiB, with the manifests that the agent does not hold while there is room. */
export function planPage(entries: readonly Entry[], start: number, have: ReadonlySet<string>): PagePlan {
  const page: Entry[] = [];
  let room = pageBytes;
  for (let at = start; at < entries.length; at += 1) {
    const entry = entries[at] as Entry;
    const bytes = bytesOf(entry);
    if (bytes > room && page.length > 0) break;
    page.push(entry);
    room -= bytes;
  }
  const inline = new Set<string>();
  for (const entry of page) {
    const checksum = entry.checksum.toString('hex');
    if (entry.state !== 'active' || inline.has(checksum) || have.has(checksum) || entry.size > room) continue;
    inline.add(checksum);
    room -= entry.size;
  }
  const next = start + page.length;
  return { entries: page, inline: [...inline], next: next < entries.length ? next : undefined };
}

/** About what an entry takes on the wire; three bytes for a character is the most that UTF-8 makes of one. */
function bytesOf(entry: Entry): number {
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
