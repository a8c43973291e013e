import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { eventually, startTestBroker } from '../test/broker.ts';
import { type AgentKey, type AgentKeys, type Fleet, type FleetOptions, startFleet } from './fleet.ts';

const test = await startTestBroker();
const place = mkdtempSync(join(tmpdir(), 'brokkr-fleet-'));
const running: Fleet[] = [];
const manifest = Buffer.from(JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'seen' } }));

async function start(options: Partial<FleetOptions>): Promise<Fleet> {
  const started = await startFleet({
    brokerUrl: test.url,
    adminPak: test.adminPak,
    count: 1,
    dataDir: place,
    log: pino({ level: 'silent' }),
    ...options,
  });
  running.push(started);
  return started;
}

function keysOf(owner: string): AgentKeys & { clear(): void } {
  const kept = new Map<string, AgentKey>();
  return {
    owner,
    find: (name) => kept.get(name),
    store: (name, key) => void kept.set(name, key),
    clear: () => kept.clear(),
  };
}

const fleet = suite('fleet');
fleet.after.each(async () => {
  for (const started of running.splice(0)) await started.close();
});
fleet.after(async () => {
  await test.close();
  rmSync(place, { recursive: true, force: true });
});

fleet('runs many agents, each with a cluster of its own', async () => {
  const { members } = await start({ count: 12, prefix: 'many', labels: ['many'] });
  assert.equal(
    members.map(({ name }) => name),
    Array.from({ length: 12 }, (_, index) => `many-${index + 1}`),
  );
  assert.is(new Set(members.map(({ cluster }) => cluster?.uid)).size, 12);
  const { broker } = test.client();
  await broker.createStack({ name: 'many', labels: ['many'] });
  await broker.submitDeployment({ stack: 'many', manifest });
  await eventually(() => members.every(({ cluster }) => cluster?.get('v1', 'ConfigMap', 'default', 'seen')), 60_000);
});

fleet('restarts with its keys and clusters', async () => {
  const keys = keysOf('me');
  const first = await start({ prefix: 'kept', keys, persistent: true });
  const [uid, id] = [first.members[0]?.cluster?.uid, first.members[0]?.id];
  await first.close();
  const second = await start({ prefix: 'kept', keys, persistent: true });
  assert.equal([second.members[0]?.cluster?.uid, second.members[0]?.id], [uid, id]);
});

fleet('rotates the key of an agent of its own whose key was lost', async () => {
  const keys = keysOf('me');
  const first = await start({ prefix: 'lost', keys, persistent: true });
  const pak = keys.find('lost-1')?.pak;
  await first.close();
  keys.clear();
  const { members } = await start({ prefix: 'lost', keys, persistent: true });
  assert.is.not(keys.find('lost-1')?.pak, pak);
  const { agent } = test.client(keys.find('lost-1')?.pak);
  assert.is((await agent.getSelf({})).agent?.id, members[0]?.id);
});

fleet('leaves agents of others alone', async () => {
  await start({ prefix: 'theirs', keys: keysOf('them') });
  const refusal = await start({ prefix: 'theirs', keys: keysOf('me') }).catch((error: Error) => error.message);
  assert.match(String(refusal), 'has an agent "theirs-1" that was not made here');
});

fleet.run();
