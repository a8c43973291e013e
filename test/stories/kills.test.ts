// time limit: 15 min
import { randomUUID } from 'node:crypto';
import { Code, ConnectError } from '@connectrpc/connect';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { PlacementPhase } from '../../gen/brokkr/v1/placement_pb.ts';
import { eventually } from '../broker.ts';
import { shuffled } from '../tools/shuffled.ts';
import { type KilledProcess, type KillMoment, type KillTestbed, startKillTestbed } from './kill-testbed.ts';

const convergeMs = 90_000;
const momentMs = 60_000;
const testbed = await startKillTestbed();
const kills = suite('a rollout survives a kill of any process at any moment');
kills.after(() => testbed.close());

const statements = [
  'insert into request',
  'insert into manifest',
  'last_revision = last_revision + 1',
  'insert into deployment',
  'insert into change',
  'commit',
  'target-index',
  'insert into event',
  'update agent_status st set incarnation',
  'insert into placement as p',
  "set state = 'removing'",
  'delete from placement p using',
] as const;
const requests = [
  'GET /api/v1/namespaces/brokkr/configmaps/brokkr-inv-',
  'PUT /api/v1/namespaces/brokkr/configmaps/brokkr-inv-',
  'DELETE /api/v1/namespaces/brokkr/configmaps/brokkr-inv-',
  'PATCH /api/v1/namespaces/default/configmaps/',
  'dryRun=All',
  'DELETE /api/v1/namespaces/default/configmaps/old-',
] as const;

const moments: readonly KillMoment[] = [
  ...statements.flatMap((at) =>
    (
      [
        ['broker', 'before'],
        ['broker', 'after'],
        ['database', 'before'],
      ] as const
    ).map(([victim, when]) => ({ at, of: 'statement' as const, when, victim })),
  ),
  ...(['insert into event', 'delete from placement p using'] as const).map((at) => ({
    at,
    of: 'statement' as const,
    when: 'after' as const,
    victim: 'agent' as KilledProcess,
  })),
  ...requests.flatMap((at) =>
    (['before', 'after'] as const).map((when) => ({
      at,
      of: 'request' as const,
      when,
      victim: 'agent' as KilledProcess,
    })),
  ),
];

const seed = Number(process.env.BROKKR_TEST_SEED ?? Date.now() % 1_000_000);
/** Each run draws half of the moments; BROKKR_TEST_KILLS gives another number. */
const count = Math.min(Number(process.env.BROKKR_TEST_KILLS ?? moments.length / 2), moments.length);
process.stdout.write(`seed ${seed}, ${count} of ${moments.length} moments\n`);

let version = 0;
let revision = 0;

kills('converges to the last submission, deletes nothing that should stay, and does nothing twice', async () => {
  assert.ok(moments.length >= 30);
  await prepare(testbed);
  for (const moment of shuffled(moments, seed).slice(0, count)) {
    const name = `${moment.victim} killed ${moment.when} "${moment.at}"`;
    const startedAt = Date.now();
    await rolloutWithKill(moment).catch((error: Error) => {
      throw new Error(`${name}: ${error.message}`, { cause: error });
    });
    process.stdout.write(`${name}: converged, ${Date.now() - startedAt} ms\n`);
  }
});

kills.run();

/** Creates two stacks for the agent, one that changes and one that never does, and objects that belong to neither. */
async function prepare({ admin, cluster }: KillTestbed): Promise<void> {
  cluster.put(map('stranger', '0'));
  await admin.broker.createStack({ name: 'steady', labels: ['mortal'] });
  await admin.broker.createStack({ name: 'moving', labels: ['mortal'] });
  await admin.broker.createStack({ name: 'guest', labels: ['guest'] });
  await admin.broker.submitDeployment({ stack: 'steady', manifest: manifestOf(map('steady', '0')) });
  await admin.broker.submitDeployment({ stack: 'guest', manifest: manifestOf(map('old-guest', '0')) });
  await nextRollout();
  await untilConverged();
}

/**
 * A submission that changes, adds and prunes, and a stack that comes and goes, with one kill in between. The callers
 * retry with the same request id, as callers should, so each of their calls must take effect exactly once.
 */
async function rolloutWithKill(moment: KillMoment): Promise<void> {
  const uids = uidsOf(['stranger', 'steady', 'kept']);
  const kill = testbed.killAt(moment);
  try {
    await nextRollout();
    const first = { over: false };
    const settled = untilConverged(first);
    settled.catch(() => {});
    // Some moments belong to the removal of a stack, which is part of every other rollout.
    const came = await Promise.race([kill.done.then(() => true), settled.then(() => false)]);
    first.over = true;
    if (!came) await nextRollout();
    await within(kill.done, momentMs);
  } finally {
    kill.cancel();
  }
  await untilConverged();
  assert.equal(uidsOf(['stranger', 'steady', 'kept']), uids, 'what should stay was never deleted');
}

async function nextRollout(): Promise<void> {
  version += 1;
  revision += 1;
  const here = version % 2 === 0;
  const objects = [map('kept', `${version}`), map(`old-${version}`, `${version}`)];
  const submission = { requestId: randomUUID(), stack: 'moving', manifest: manifestOf(...objects) };
  const answer = await retryUntilAnswered(() => testbed.admin.broker.submitDeployment(submission));
  assert.equal(
    { revision: answer.deployment?.revision, unchanged: answer.unchanged },
    { revision, unchanged: false },
    `a submission makes one revision, however often it is sent: ${answer.deployment?.revision} (replayed: ${answer.replayed})`,
  );
  const edit = here ? { addLabels: ['guest'] } : { removeLabels: ['guest'] };
  await retryUntilAnswered(() => testbed.admin.admin.updateAgent({ agent: testbed.agentName, ...edit }));
}

/** Waits until the cluster contains exactly what it should, and the broker knows it. */
async function untilConverged(wait = { over: false }): Promise<void> {
  const here = version % 2 === 0;
  const wanted = ['kept', `old-${version}`, ...(here ? ['old-guest'] : []), 'steady', 'stranger'].sort();
  await eventually(async () => {
    // The wait was abandoned: the next rollout ends differently.
    if (wait.over) return true;
    const { placements } = await testbed.admin.broker.listPlacements({ agent: testbed.agentName });
    const found = placements.map(({ stack, desiredRevision, phase }) => ({ stack, desiredRevision, phase }));
    const applied = (stack: string, desiredRevision: number) => ({
      stack,
      desiredRevision,
      phase: PlacementPhase.APPLIED,
    });
    const guest = here ? [applied('system/guest', 1)] : [];
    assert.equal(
      found.sort((a, b) => (a.stack < b.stack ? -1 : 1)),
      [...guest, applied('system/moving', revision), applied('system/steady', 1)],
    );
    assert.equal(namesInCluster(), wanted);
    assert.equal(testbed.cluster.get('v1', 'ConfigMap', 'default', 'kept')?.data, { version: `${version}` });
    return true;
  }, convergeMs);
}

function namesInCluster(): string[] {
  return testbed.cluster
    .objects()
    .filter(
      ({ kind, metadata }) =>
        kind === 'ConfigMap' && metadata.namespace === 'default' && metadata.name !== 'kube-root-ca.crt',
    )
    .map(({ metadata }) => metadata.name)
    .sort();
}

function uidsOf(names: readonly string[]): (string | undefined)[] {
  return names.map((name) => testbed.cluster.get('v1', 'ConfigMap', 'default', name)?.metadata.uid);
}

/** Retries until there is an answer, as a client does while its broker is down. */
function retryUntilAnswered<T>(call: () => Promise<T>): Promise<T> {
  return eventually(
    () =>
      call().catch((error: unknown) => {
        const { code } = ConnectError.from(error);
        assert.ok(code === Code.Unavailable || code === Code.DeadlineExceeded, String(error));
        return undefined;
      }),
    momentMs,
  ) as Promise<T>;
}

async function within(work: Promise<void>, ms: number): Promise<void> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error(`the moment did not come within ${ms} ms`)), ms);
  await Promise.race([work, late.promise]).finally(() => clearTimeout(timer));
}

function map(name: string, value: string) {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace: 'default' }, data: { version: value } };
}

function manifestOf(...objects: readonly ReturnType<typeof map>[]): Uint8Array {
  return Buffer.from(objects.map((object) => JSON.stringify(object)).join('\n---\n'));
}
