import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { TargetEntry } from '../../contract/target-state.ts';
import { nextBatch } from './batch-reader.ts';
import { createLruCache } from './lru-cache.ts';
import { type AgentTargetState, planPage } from './rules.ts';

const cache = suite('cache of target states');

const entry = (at: number, more: Partial<TargetEntry> = {}): TargetEntry => ({
  stackId: `00000000-0000-7000-8000-${String(at).padStart(12, '0')}`,
  stack: 'stack',
  generator: 'system',
  deploymentId: '00000000-0000-7000-8000-000000000000',
  revision: 1,
  order: 1n,
  state: 'active',
  generation: 1n,
  checksum: Buffer.alloc(32, at).toString('hex'),
  size: 10,
  onDelete: 'prune',
  held: false,
  confirmed: false,
  confirmedKeys: [],
  kinds: [],
  reason: '',
  serviceAccount: '',
  drift: 'repair',
  conflict: 'adopt',
  forceReplace: false,
  ignoredFields: [],
  dependsOnIds: [],
  traceParent: '',
  ...more,
});
const state = (agentId: string, count: number): AgentTargetState => ({
  agentId,
  epoch: 1n,
  incarnation: 1n,
  paused: false,
  digest: Buffer.alloc(32),
  entries: Array.from({ length: count }, (_, at) => entry(at)),
  generators: [],
});

cache('keeps whole states up to a limit, and drops the oldest ones first', () => {
  const states = createLruCache(10);
  for (const id of ['a', 'b', 'c']) states.set(state(id, 4));
  assert.equal(
    ['a', 'b', 'c'].map((id) => states.get(id)?.entries.length),
    [undefined, 4, 4],
  );
  states.set(state('b', 1));
  states.set(state('d', 5));
  assert.equal(
    ['b', 'c', 'd'].map((id) => states.get(id)?.entries.length),
    [1, 4, 5],
  );
  states.set(state('huge', 11));
  assert.is(states.get('huge'), undefined);
  assert.is(states.sizeOf('huge'), 11);
  states.clear();
  states.set(state('e', 10));
  assert.is(states.get('e')?.entries.length, 10);
});

cache('reads agents in batches of at most 500, and of fewer when they have many entries', () => {
  const ids = (count: number) => Array.from({ length: count }, (_, at) => String(at));
  assert.is(nextBatch(ids(2_000), () => 1).length, 500);
  assert.is(nextBatch(ids(2_000), () => undefined).length, 200);
  assert.is(nextBatch(ids(10), () => 9_000).length, 2);
  assert.is(nextBatch(ids(10), () => 90_000).length, 1);
});

cache('plans pages of at most 1 MiB, however large the entries are', () => {
  const kinds = Array.from({ length: 100 }, (_, at) => `group-${at}.example.com/v1/SomeKind${at}`);
  const entries = Array.from({ length: 3_000 }, (_, at) =>
    at % 2 ? entry(at) : entry(at, { state: 'removing', kinds, reason: 'ä'.repeat(100) }),
  );
  let seen = 0;
  let pages = 0;
  for (let start: number | undefined = 0; start !== undefined; pages += 1) {
    const page = planPage(entries, start, new Set());
    assert.ok(page.entries.length > 0);
    assert.ok(JSON.stringify(page.entries.map(({ kinds: own, reason }) => [own, reason])).length < 1 << 20);
    seen += page.entries.length;
    start = page.next;
  }
  assert.is(seen, 3_000);
  assert.ok(pages > 3 && pages < 20, `${pages} pages`);
});

cache('sends a manifest with the page only when it fits and the agent lacks it', () => {
  const entries = [entry(1, { size: 900_000 }), entry(2, { size: 300_000 }), entry(3), entry(3), entry(4)];
  const page = planPage(entries, 0, new Set([Buffer.alloc(32, 4).toString('hex')]));
  assert.equal(
    page.inline,
    [1, 3].map((at) => Buffer.alloc(32, at).toString('hex')),
  );
});

cache.run();
