import { createHash } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import pino from 'pino';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { hashTargetState } from '../../contract/target-digest.ts';
import { eventually } from '../../test/broker.ts';
import { openManifestCache } from '../manifest/cache.ts';
import type { PullAnswer, PullRequest } from './client.ts';
import { BrokerError } from './error.ts';
import { createPullRequests } from './pull-requests.ts';
import { createPuller } from './puller.ts';

const pulls = suite('pulling');

const paused = { epoch: 1n, paused: true, entries: [], generators: [] };
const answer: PullAnswer = {
  ...paused,
  kind: 'paused',
  digest: hashTargetState(paused, createHash('sha256')).digest(),
  manifests: [],
  nextPageToken: '',
};
const cutAfterMs = 4_500;

/** Answers as a broker behind a proxy does that ends every call after `cutAfterMs`. */
async function pullThroughProxy({ digest, waitMs }: PullRequest): Promise<PullAnswer> {
  if (digest.length === 0) return answer;
  if (waitMs > cutAfterMs) {
    await delay(cutAfterMs);
    throw new BrokerError('unavailable', 'HTTP 504', undefined);
  }
  await delay(waitMs);
  return { ...answer, kind: 'unchanged' };
}

pulls('waits less when a proxy ends its long polls, and counts that as no failure', async () => {
  const stop = new AbortController();
  const waits: number[] = [];
  const results: string[] = [];
  const puller = createPuller({
    broker: {
      pull: (request) => {
        waits.push(request.waitMs);
        return pullThroughProxy(request);
      },
      manifests: async function* () {},
    },
    manifests: await openManifestCache(undefined),
    requests: createPullRequests(),
    log: pino({ level: 'silent' }),
    intervalMs: () => 20_000,
    accept: () => {},
    arrived: () => {},
    seen: () => ({ epoch: 1n, order: 0n }),
    isHinted: () => false,
    observe: (result) => results.push(result),
  });
  const running = puller.run(stop.signal);
  await eventually(() => results.length >= 2, 30_000);
  stop.abort();
  await running;
  assert.ok((waits[1] ?? 0) > 15_000, 'first as long as it is told to');
  assert.ok((waits[2] ?? 0) < cutAfterMs && (waits[2] ?? 0) > 2_000, `then shorter than the proxy allows: ${waits[2]}`);
  assert.equal(results.slice(0, 2), ['paused', 'unchanged']);
});

pulls.run();
