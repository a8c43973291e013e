import type { Logger } from 'pino';
import type { TargetState } from '../../contract/target-state.ts';
import { type Backoff, defaultBackoff, retryMs } from '../concurrency/backoff.ts';
import type { ManifestCache } from '../manifest/cache.ts';
import type { Entry } from '../target/target-state.ts';
import type { BrokerClient, PullRequest } from './client.ts';
import { BrokerError } from './error.ts';
import type { PullRequests } from './pull-requests.ts';
import { type FetchPage, fetchManifests, fetchTarget } from './target-fetch.ts';

export interface PullerOptions {
  readonly broker: Pick<BrokerClient, 'pull' | 'manifests'>;
  readonly manifests: ManifestCache;
  readonly requests: PullRequests;
  readonly log: Logger;
  /** Longest time between two pulls in milliseconds; asked before each pull. */
  readonly intervalMs: () => number;
  /** Takes a whole, verified target state. Throws a BrokerError when its epoch is over. */
  readonly accept: (state: TargetState) => void;
  /** Called with new deployments and the time of the answer, once all of their manifests are here. Not for the first state. */
  readonly received?: (entries: readonly Entry[], at: number) => void;
  /** Called when a manifest of the accepted state is here. */
  readonly arrived: (checksum: string) => void;
  /** The highest epoch and order that were seen. */
  readonly seen: () => { epoch: bigint; order: bigint };
  /** Returns whether the session announces changes, so that a poll need not wait for them. */
  readonly isHinted: () => boolean;
  /** Called after each pull, with the reason when it failed. */
  readonly observe: (result: 'unchanged' | 'paused' | 'index' | 'failed', reason?: string) => void;
  readonly retry?: Backoff;
}

export interface Puller {
  /** When the broker last answered, in milliseconds since 1970; undefined before. */
  readonly answeredAt: number | undefined;
  /** Pulls until the signal aborts or the agent is fenced. */
  run(signal: AbortSignal): Promise<void>;
}

/** The contract allows 300 s. */
const maxWaitMs = 290_000;
const maxHave = 1_000;

interface PullState {
  /** Digest of the accepted state; empty to have all of it sent. */
  digest: Uint8Array;
  /** Checksums of the manifests that the accepted state refers to. */
  wanted: ReadonlySet<string>;
  /** Deployments of the accepted state; undefined before there is one. */
  deployments: ReadonlySet<string> | undefined;
  /** New deployments that were not passed on yet, because manifests are missing. */
  fresh: readonly Entry[];
  failures: number;
  /** The longest wait of a long poll that what is between agent and broker lets pass, in milliseconds. */
  longestWaitMs: number;
  answeredAt: number | undefined;
}

/** Asks the broker for the target state: at intervals, as a long poll, or when a pull is requested. */
export function createPuller(options: PullerOptions): Puller {
  const state: PullState = {
    digest: new Uint8Array(),
    wanted: new Set(),
    deployments: undefined,
    fresh: [],
    failures: 0,
    longestWaitMs: maxWaitMs,
    answeredAt: undefined,
  };
  return {
    get answeredAt() {
      return state.answeredAt;
    },
    async run(signal) {
      while (!signal.aborted) {
        const isOver = await pullAndRest(options, state, signal);
        if (isOver) return;
      }
    },
  };
}

/** Pulls once, and waits until the next pull is due. Returns whether it was the last one. */
async function pullAndRest(options: PullerOptions, state: PullState, signal: AbortSignal): Promise<boolean> {
  const { requests } = options;
  const beganAt = Date.now();
  const waitMs = options.isHinted() ? 0 : Math.min(state.longestWaitMs, jitteredInterval(options));
  try {
    const kind = await pullOnce(options, state, waitMs, signal);
    options.observe(kind);
    await fetchMissing(options, state, signal);
    if (state.fresh.length > 0) options.received?.(state.fresh, state.answeredAt ?? Date.now());
    state.fresh = [];
    state.failures = 0;
    const tookMs = Date.now() - beganAt;
    // The state may have changed meanwhile: a long poll goes on at once, unless the broker answered without waiting.
    const isLongPoll = waitMs > 0 && (kind !== 'unchanged' || tookMs >= waitMs / 2);
    await requests.wait(isLongPoll ? 0 : Math.max(0, jitteredInterval(options) - tookMs), signal);
    return false;
  } catch (error) {
    if (signal.aborted || (error instanceof BrokerError && error.kind === 'fenced')) return true;
    if (waitLess(options, state, error, Date.now() - beganAt, waitMs)) return false;
    await requests.wait(delayAfter(options, state, error), signal);
    state.failures += 1;
    return false;
  }
}

/** A long poll that ended sooner may have failed for another reason than its length. */
const shortestCutMs = 4_000;

/**
 * Shortens the long polls when a proxy cut one off because it was quiet for too long; the broker has not failed then. Returns whether
 * that was the case.
 */
function waitLess({ log }: PullerOptions, state: PullState, error: unknown, tookMs: number, waitMs: number): boolean {
  const isTimeout = error instanceof BrokerError && error.kind === 'unavailable' && gatewayTimeout.test(error.message);
  if (!isTimeout || waitMs === 0 || tookMs < shortestCutMs || tookMs > waitMs) return false;
  state.longestWaitMs = Math.round(tookMs * 0.8);
  log.info({ waitMs: state.longestWaitMs }, 'a proxy ends long polls: the agent waits less');
  return true;
}

/** nginx, HAProxy and Envoy send this when an answer took them too long. */
const gatewayTimeout = /^HTTP (408|504)$|upstream request timeout|stream timeout/;

async function pullOnce(options: PullerOptions, state: PullState, waitMs: number, signal: AbortSignal) {
  if (options.requests.takeFull()) state.digest = new Uint8Array();
  const fetchPage: FetchPage = (page) => fetchOnePage(options, state, page, signal);
  const fetched = await fetchTarget(fetchPage, state.digest, waitMs);
  if (fetched.kind === 'unchanged') return fetched.kind;
  options.accept(fetched.state);
  state.digest = fetched.digest;
  if (fetched.kind === 'index') await noteEntries(options, state, fetched.state.entries);
  return fetched.kind;
}

async function fetchOnePage(
  { broker, manifests, log, seen }: PullerOptions,
  state: PullState,
  page: Pick<PullRequest, 'waitMs' | 'pageToken'>,
  signal: AbortSignal,
) {
  const { digest } = state;
  const have = [...manifests.checksums].slice(0, maxHave);
  // An answer that did not come in time may have been too large for the link; manifests that come one by one are kept.
  const isSlow = state.failures > 0;
  const answer = await broker.pull({ ...page, digest, have, isSlow, ...seen() }, signal);
  state.answeredAt = Date.now();
  for (const { checksum, data } of answer.manifests)
    if (!(await manifests.write(checksum, data))) log.warn({ checksum }, 'a manifest does not have its checksum');
  return answer;
}

/** Notes which manifests are needed now, and which deployments are new. */
async function noteEntries({ manifests }: PullerOptions, state: PullState, entries: readonly Entry[]): Promise<void> {
  const active = entries.filter((entry) => entry.state === 'active');
  state.wanted = new Set(active.map(({ checksum }) => checksum));
  await manifests.keepOnly(state.wanted);
  const before = state.deployments;
  state.fresh = before ? active.filter(({ deploymentId }) => !before.has(deploymentId)) : [];
  state.deployments = new Set(entries.map(({ deploymentId }) => deploymentId));
}

/** Fetches the manifests that the accepted state refers to and that did not come with it. */
async function fetchMissing(options: PullerOptions, state: PullState, signal: AbortSignal): Promise<void> {
  const missing = () => [...state.wanted].filter((checksum) => !options.manifests.checksums.has(checksum));
  for (let left = missing(); left.length > 0; left = missing())
    await fetchManifests(options, left.slice(0, maxHave), options.arrived, signal);
}

/** Reports a failed pull, and returns how long to wait before the next one, in milliseconds. */
function delayAfter({ observe, log, retry = defaultBackoff }: PullerOptions, state: PullState, error: unknown): number {
  const kind = error instanceof BrokerError ? error.kind : undefined;
  if (kind === undefined) log.error({ err: error }, 'a pull failed in an unexpected way');
  const reason = error instanceof Error ? error.message : String(error);
  observe('failed', reason);
  log.warn({ reason }, 'a pull failed');
  // The state has changed meanwhile, and what was asked for is gone: nothing is wrong.
  if (kind === 'missing') state.digest = new Uint8Array();
  const isOutdated = kind === 'changed' || kind === 'missing';
  return isOutdated && state.failures === 0 ? 0 : retryMs(retry, state.failures);
}

function jitteredInterval({ intervalMs }: PullerOptions): number {
  return intervalMs() * (0.8 + 0.2 * Math.random());
}
