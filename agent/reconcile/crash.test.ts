import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  configMap,
  openSimulatedCluster,
  stackId,
  startTestAgent,
  type TargetStack,
  type TestAgent,
  type TestCluster,
  until,
} from '../../test/agent/test-agent.ts';
import type { KubeObject } from '../object/kube-object.ts';

const a = stackId('a');
const b = stackId('b');
const c = stackId('c');

/** A rollout that does everything at once: changes, prunes, hand-overs, removals and definitions, in waves and with dependencies. */
const before: readonly TargetStack[] = [
  { stackId: a, order: 1n, deploymentId: 'a1', objects: [map('a-kept', '1'), map('a-moves', '1'), map('a-goes', '1')] },
  { stackId: c, order: 2n, deploymentId: 'c1', objects: [map('c-goes', '1'), map('c-inherited', '1')] },
];
const after: readonly TargetStack[] = [
  { stackId: a, order: 3n, deploymentId: 'a2', objects: [later('a-kept', 2), map('a-new', '2')] },
  {
    stackId: b,
    dependsOnIds: [a],
    order: 4n,
    deploymentId: 'b1',
    objects: [
      later('a-moves', 1),
      map('c-inherited', '2'),
      room('b-room'),
      configMap('b-inside', { k: '2' }, 'b-room'),
    ],
  },
  { stackId: c, order: 5n, deploymentId: 'c1', generation: 5n, state: 'removing', kinds: ['v1/ConfigMap'] },
];
const wanted = ['a-kept', 'a-moves', 'a-new', 'b-inside', 'c-inherited', 'stranger'];
const survivors = ['a-kept', 'a-moves', 'c-inherited', 'stranger'];

const crashes = suite('an agent that crashes at any moment');

crashes('converges after a crash at each single request of a rollout', async () => {
  const total = await rollout(undefined);
  assert.ok(total >= 30, `a rollout has ${total} requests`);
  for (let point = 1; point <= total; point++) await rollout({ at: point, answered: point % 2 === 0 });
});

crashes('converges when any of the cluster’s answers are lost', async () => {
  for (let lost = 0; lost < 12; lost++) {
    const testCluster = await openSimulatedCluster();
    const testAgent = await begin(testCluster);
    const uids = uidsOf(testCluster);
    for (const method of ['PATCH', 'PUT', 'POST', 'DELETE'])
      testCluster.simulated?.faults.add({ method, drop: lost % 2 === 0 ? 'answer' : true, times: 1 + (lost % 5) });
    testAgent.setTarget(after);
    await converged(testCluster, testAgent);
    check(testCluster, uids);
    await testAgent.close();
    await testCluster.close();
  }
});

crashes.run();

/** Runs a rollout that crashes at a request and is continued by the next process. Returns the number of requests. */
async function rollout(crash: { at: number; answered: boolean } | undefined): Promise<number> {
  const testCluster = await openSimulatedCluster();
  const first = await begin(testCluster);
  const uids = uidsOf(testCluster);
  testCluster.simulated?.clearRequests();
  let seen = 0;
  let isEnded = false;
  const forget = testCluster.simulated?.onRequest(async () => {
    seen += 1;
    if (crash?.at !== seen) return;
    const closing = first.close();
    // The cluster may or may not carry out the request of a process that was killed.
    if (!crash.answered) await closing;
    isEnded = true;
  });
  first.setTarget(after);
  if (crash) {
    await until(() => isEnded || isConverged(testCluster, first), `request ${crash.at}`);
    forget?.();
    await first.close();
    const second = await startTestAgent(testCluster.source, {});
    second.setTarget(after);
    await converged(testCluster, second, `crash at ${crash.at}`);
    await second.close();
  } else {
    await converged(testCluster, first);
    await first.close();
  }
  check(testCluster, uids, crash?.at);
  await testCluster.close();
  return seen;
}

async function begin(testCluster: TestCluster): Promise<TestAgent> {
  testCluster.simulated?.put(map('stranger', '1') as never);
  const testAgent = await startTestAgent(testCluster.source, {});
  testAgent.setTarget(before);
  await testAgent.settled();
  return testAgent;
}

async function converged(testCluster: TestCluster, testAgent: TestAgent, when = 'no crash'): Promise<void> {
  await until(
    () => isConverged(testCluster, testAgent),
    `the rollout (${when}): ${namesOf(testCluster)}; ${testAgent.events.at(-1)?.message}`,
  );
}

function isConverged(testCluster: TestCluster, testAgent: TestAgent): boolean {
  const outcomes = new Map(testAgent.events.map((event) => [event.stackId, event.outcome]));
  return (
    namesOf(testCluster).join() === wanted.join() &&
    testAgent.stacks.counts.unsettled === 0 &&
    outcomes.get(c) === 'removed'
  );
}

function check(testCluster: TestCluster, uids: ReadonlyMap<string, string>, at?: number): void {
  const now = uidsOf(testCluster);
  for (const name of survivors) assert.is(now.get(name), uids.get(name), `${name} was created again (crash at ${at})`);
}

function mapsOf({ simulated }: TestCluster) {
  return (simulated?.objects() ?? []).filter(
    ({ kind, metadata: { name } }) =>
      kind === 'ConfigMap' && name !== 'kube-root-ca.crt' && !name.startsWith('brokkr-inv-'),
  );
}

function namesOf(testCluster: TestCluster): string[] {
  return mapsOf(testCluster)
    .map(({ metadata }) => metadata.name)
    .sort();
}

function uidsOf(testCluster: TestCluster): Map<string, string> {
  return new Map(mapsOf(testCluster).map(({ metadata }) => [metadata.name, metadata.uid ?? '']));
}

function map(name: string, value: string): KubeObject {
  return configMap(name, { k: value }, 'default');
}

function later(name: string, wave: number): KubeObject {
  const object = map(name, '2');
  return { ...object, metadata: { ...object.metadata, annotations: { 'k8s.brokkr.io/wave': String(wave) } } };
}

function room(name: string): KubeObject {
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name } };
}
