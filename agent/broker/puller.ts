import { createHash } from 'node:crypto';
import type { Logger } from 'pino';
import { hashTargetState } from '../../contract/target-digest.ts';
import type { TargetState } from '../../contract/target-state.ts';
import { type Backoff, pause, retryMs, usualRetry } from '../concurrency/backoff.ts';
import type { ManifestStore } from '../manifest/cache.ts';
import type { Entry } from '../target/target-state.ts';
import type { PullAnswer, Wire } from './client.ts';
import { BrokerError } from './error.ts';

export interface PullerOptions {
  readonly wire: Pick<Wire, 'pull' | 'manifests'>;
  readonly manifests: ManifestStore;
  readonly log: Logger;
  /** Longest time between two pulls; looked up for each. */
  readonly intervalMs: () => number;
  /** Takes a whole, checked target state. Throws a BrokerError when it is of an older epoch. */
  readonly accept: (state: TargetState) => void;
  /** Entries that were not told before, with when the answer came; called when all of their manifests are here. Not those of the start. */
  readonly received?: (entries: readonly Entry[], at: number) => void;
  /** A manifest of the accepted state is here. */
  readonly arrived: (checksum: string) => void;
  /** The highest epoch and order that were seen. */
  readonly seen: () => { epoch: bigint; order: bigint };
  /** Whether hints will tell of changes, so that a poll need not wait for them. */
  readonly isHinted: () => boolean;
  /** Told of each pull; of one that failed, why. */
  readonly observe: (result: 'unchanged' | 'paused' | 'index' | 'failed', reason?: string) => void;
  readonly fenced: (reason: string) => void;
  readonly retry?: Backoff;
}

export interface Puller {
  /** Pulls at once instead of when the interval is over. */
  wake(): void;
  /** The same for the whole state, even when it is the one that is known. */
  pullFull(): void;
  /** When the broker last answered; undefined before. */
  readonly answeredAt: number | undefined;
  run(signal: AbortSignal): Promise<void>;
}

/** The contract allows 300 s. */
const maxWaitMs = 290_000;
const maxHave = 1_000;
const maxPages = 1_000;
const maxManifestBytes = 16 << 20;

/** Asks the broker what should be, at intervals, as a long poll or when woken. Nothing of an answer counts before all of it is right. */
export function createPuller(options: PullerOptions): Puller {
  const { wire, manifests, log, intervalMs, retry = usualRetry } = options;
  let digest: Uint8Array = new Uint8Array();
  let wanted: ReadonlySet<string> = new Set();
  let answeredAt: number | undefined;
  /** Deployments of the accepted state; undefined before there is one. */
  let known: ReadonlySet<string> | undefined;
  let news: readonly Entry[] = [];
  let woken = Promise.withResolvers<void>();
  let isWoken = false;
  let isAnew = false;
  let failures = 0;

  const pullOnce = async (waitMs: number, signal: AbortSignal): Promise<PullAnswer['kind']> => {
    if (isAnew) digest = new Uint8Array();
    isAnew = false;
    const first = await page(waitMs, '', signal);
    answeredAt = Date.now();
    if (first.kind === 'unchanged') {
      if (digest.length === 0 || !sameBytes(first.digest, digest))
        throw new BrokerError(
          'unavailable',
          'the broker calls a state unchanged that it was not asked about',
          undefined,
        );
      return 'unchanged';
    }
    const entries = first.kind === 'index' ? await restOf(first, signal) : [];
    const { epoch, generators } = first;
    const state: TargetState = { epoch, paused: first.kind === 'paused', entries, generators };
    if (!sameBytes(hashTargetState(state, createHash('sha256')).digest(), first.digest))
      throw new BrokerError('unavailable', 'the target state does not have the announced digest', undefined);
    options.accept(state);
    digest = first.digest;
    if (!state.paused) {
      wanted = new Set(entries.filter(({ state: kind }) => kind === 'active').map(({ checksum }) => checksum));
      await manifests.keepOnly(wanted);
      const before = known;
      news = before
        ? entries.filter(({ state: kind, deploymentId }) => kind === 'active' && !before.has(deploymentId))
        : [];
      known = new Set(entries.map(({ deploymentId }) => deploymentId));
    }
    return first.kind;
  };

  const page = async (waitMs: number, pageToken: string, signal: AbortSignal): Promise<PullAnswer> => {
    const have = [...manifests.held].slice(0, maxHave);
    // An answer that did not come in time may have been too large for the link; manifests that come one by one are kept.
    const isSlow = failures > 0;
    const answer = await wire.pull({ digest, have, pageToken, waitMs, isSlow, ...options.seen() }, signal);
    for (const { checksum, data } of answer.manifests) {
      if (!(await manifests.write(checksum, data))) log.warn({ checksum }, 'a manifest does not have its checksum');
    }
    return answer;
  };

  const restOf = async (first: PullAnswer, signal: AbortSignal): Promise<Entry[]> => {
    const entries = [...first.entries];
    let token = first.nextPageToken;
    for (let pages = 1; token !== ''; pages++) {
      if (pages > maxPages) throw new BrokerError('unavailable', 'the target state has no end', undefined);
      const next = await page(0, token, signal);
      if (next.kind !== 'index' || next.epoch !== first.epoch || !sameBytes(next.digest, first.digest))
        throw new BrokerError('changed', 'the target state has changed between two pages', undefined);
      entries.push(...next.entries);
      token = next.nextPageToken;
    }
    return entries;
  };

  /** Fetches what the accepted state refers to and did not come with it. */
  const fetchMissing = async (signal: AbortSignal) => {
    const missing = () => [...wanted].filter((checksum) => !manifests.held.has(checksum));
    for (let left = missing(); left.length > 0; left = missing()) {
      await fetchSome(left.slice(0, maxHave), signal);
    }
  };
  const fetchSome = async (checksums: readonly string[], signal: AbortSignal) => {
    const asked = new Set(checksums);
    let chunks: Uint8Array[] = [];
    let bytes = 0;
    let current = '';
    for await (const { checksum, data, last } of wire.manifests(checksums, signal)) {
      if (checksum !== current) {
        chunks = [];
        bytes = 0;
        current = checksum;
      }
      bytes += data.length;
      if (!asked.has(checksum) || bytes > maxManifestBytes)
        throw new BrokerError('unavailable', 'the broker sends what was not asked for', undefined);
      chunks.push(data);
      if (!last) continue;
      const whole = Buffer.concat(chunks);
      chunks = [];
      current = '';
      if (!(await manifests.write(checksum, whole)))
        throw new BrokerError('unavailable', `manifest ${checksum} does not have its checksum`, undefined);
      asked.delete(checksum);
      options.arrived(checksum);
    }
    if (asked.size > 0) throw new BrokerError('unavailable', `${asked.size} manifests did not come`, undefined);
  };

  const rest = async (ms: number, signal: AbortSignal) => {
    if (!isWoken) await pause(ms, signal, woken.promise);
    isWoken = false;
    woken = Promise.withResolvers();
  };

  const wake = () => {
    isWoken = true;
    woken.resolve();
  };

  return {
    wake,
    pullFull() {
      isAnew = true;
      wake();
    },
    get answeredAt() {
      return answeredAt;
    },
    async run(signal) {
      while (!signal.aborted) {
        const beganAt = Date.now();
        const waitMs = options.isHinted() ? 0 : Math.min(maxWaitMs, intervalMs() * (0.8 + 0.2 * Math.random()));
        try {
          const kind = await pullOnce(waitMs, signal);
          options.observe(kind);
          await fetchMissing(signal);
          if (news.length > 0) options.received?.(news, answeredAt ?? Date.now());
          news = [];
          failures = 0;
          // Another state may have come meanwhile: a long poll goes on at once. Only one that did not wait is not trusted to.
          const tookMs = Date.now() - beganAt;
          const isLongPoll = waitMs > 0 && (kind !== 'unchanged' || tookMs >= waitMs / 2);
          await rest(isLongPoll ? 0 : Math.max(0, intervalMs() * (0.8 + 0.2 * Math.random()) - tookMs), signal);
        } catch (error) {
          if (signal.aborted) return;
          if (!(error instanceof BrokerError)) log.error({ err: error }, 'a pull failed in an unexpected way');
          else if (error.kind === 'fenced') return options.fenced(error.message);
          const reason = error instanceof Error ? error.message : String(error);
          options.observe('failed', reason);
          log.warn({ reason }, 'a pull failed');
          const isNews = error instanceof BrokerError && (error.kind === 'changed' || error.kind === 'missing');
          // The state is another one by now: what was asked for is gone, and nothing is wrong.
          if (error instanceof BrokerError && error.kind === 'missing') digest = new Uint8Array();
          await rest(isNews && failures === 0 ? 0 : retryMs(retry, failures), signal);
          failures += 1;
        }
      }
    },
  };
}

function sameBytes(left: Uint8Array, right: Uint8Array): boolean {
  return Buffer.compare(left, right) === 0;
}
