import { createHash } from 'node:crypto';
import { hashTargetState } from '../../contract/target-digest.ts';
import type { TargetEntry, TargetState } from '../../contract/target-state.ts';
import type { ManifestCache } from '../manifest/cache.ts';
import type { BrokerClient, PullAnswer, PullRequest } from './client.ts';
import { BrokerError } from './error.ts';

export type FetchedTarget =
  | { readonly kind: 'unchanged' }
  | { readonly kind: 'paused' | 'index'; readonly state: TargetState; readonly digest: Uint8Array };

/** Fetches one page of the target state. */
export type FetchPage = (request: Pick<PullRequest, 'waitMs' | 'pageToken'>) => Promise<PullAnswer>;

const maxPages = 1_000;
const maxManifestBytes = 16 << 20;

/**
 * Fetches the whole target state, page by page. Nothing of it counts before all of it is here and has the announced digest. `digest`
 * is that of the last state. Throws a BrokerError.
 */
export async function fetchTarget(fetchPage: FetchPage, digest: Uint8Array, waitMs: number): Promise<FetchedTarget> {
  const first = await fetchPage({ waitMs, pageToken: '' });
  if (first.kind === 'unchanged') {
    if (digest.length > 0 && sameBytes(first.digest, digest)) return { kind: 'unchanged' };
    throw unavailable('the broker calls a state unchanged that it was not asked about');
  }
  const entries = first.kind === 'index' ? await entriesOf(fetchPage, first) : [];
  const { epoch, generators } = first;
  const state: TargetState = { epoch, paused: first.kind === 'paused', entries, generators };
  if (!sameBytes(hashTargetState(state, createHash('sha256')).digest(), first.digest))
    throw unavailable('the target state does not have the announced digest');
  return { kind: first.kind, state, digest: first.digest };
}

async function entriesOf(fetchPage: FetchPage, first: PullAnswer): Promise<TargetEntry[]> {
  const entries = [...first.entries];
  let pageToken = first.nextPageToken;
  for (let pages = 1; pageToken !== ''; pages++) {
    if (pages > maxPages) throw unavailable('the target state has no end');
    const next = await fetchPage({ waitMs: 0, pageToken });
    if (next.kind !== 'index' || next.epoch !== first.epoch || !sameBytes(next.digest, first.digest))
      throw new BrokerError('changed', 'the target state has changed between two pages', undefined);
    entries.push(...next.entries);
    pageToken = next.nextPageToken;
  }
  return entries;
}

/** Fetches manifests into the store, and calls `arrived` for each. Throws a BrokerError unless all of them came. */
export async function fetchManifests(
  { broker, manifests }: { readonly broker: Pick<BrokerClient, 'manifests'>; readonly manifests: ManifestCache },
  checksums: readonly string[],
  arrived: (checksum: string) => void,
  signal: AbortSignal,
): Promise<void> {
  const missing = new Set(checksums);
  let chunks: Uint8Array[] = [];
  let bytes = 0;
  let current = '';
  for await (const { checksum, data, last } of broker.manifests(checksums, signal)) {
    if (checksum !== current) {
      chunks = [];
      bytes = 0;
      current = checksum;
    }
    bytes += data.length;
    if (!missing.has(checksum) || bytes > maxManifestBytes)
      throw unavailable('the broker sends what was not asked for');
    chunks.push(data);
    if (!last) continue;
    const whole = Buffer.concat(chunks);
    chunks = [];
    current = '';
    if (!(await manifests.write(checksum, whole))) throw unavailable(`manifest ${checksum} does not have its checksum`);
    missing.delete(checksum);
    arrived(checksum);
  }
  if (missing.size > 0) throw unavailable(`${missing.size} manifests did not come`);
}

function unavailable(message: string): BrokerError {
  return new BrokerError('unavailable', message, undefined);
}

function sameBytes(left: Uint8Array, right: Uint8Array): boolean {
  return Buffer.compare(left, right) === 0;
}
