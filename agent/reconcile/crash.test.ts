import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  type Core,
  configMap,
  type Lab,
  openSimulated,
  stackId,
  startCore,
  until,
  type Wish,
} from '../../test/agent/test-agent.ts';
import type { KubeObject } from '../object/kube-object.ts';

const a = stackId('a');
const b = stackId('b');
const c = stackId('c');

/** A rollout that does everything at once: changes, prunes, hands over, removes, defines, in waves, one stack after another. */
const before: readonly Wish[] = [
  { stackId: a, order: 1n, deploymentId: 'a1', objects: [map('a-kept', '1'), map('a-moves', '1'), map('a-goes', '1')] },
  { stackId: c, order: 2n, deploymentId: 'c1', objects: [map('c-goes', '1'), map('c-inherited', '1')] },
];
const after: readonly Wish[] = [
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

const crashes = suite('an agent that ends at any moment');

crashes('converges after it ended at each single request of a rollout', async () => {
  const total = await rollout(undefined);
  assert.ok(total >= 30, `a rollout has ${total} requests`);
  for (let point = 1; point <= total; point++) await rollout({ at: point, answered: point % 2 === 0 });
});

crashes('converges when answers of the cluster are lost, whichever they are', async () => {
  for (let lost = 0; lost < 12; lost++) {
    const lab = await openSimulated();
    const core = await begin(lab);
    const uids = uidsOf(lab);
    for (const method of ['PATCH', 'PUT', 'POST', 'DELETE'])
      lab.simulated?.faults.add({ method, drop: lost % 2 === 0 ? 'answer' : true, times: 1 + (lost % 5) });
    core.tell(after);
    await converged(lab, core);
    check(lab, uids);
    await core.close();
    await lab.close();
  }
});

crashes.run();

/** One rollout, ended at a request and gone on with by the next process; answers how many requests the rollout took. */
async function rollout(crash: { at: number; answered: boolean } | undefined): Promise<number> {
  const lab = await openSimulated();
  const first = await begin(lab);
  const uids = uidsOf(lab);
  lab.simulated?.clearRequests();
  let seen = 0;
  let isEnded = false;
  const forget = lab.simulated?.onRequest(async () => {
    seen += 1;
    if (crash?.at !== seen) return;
    const closing = first.close();
    // The request is carried out all the same, or not, as with a process that was killed.
    if (!crash.answered) await closing;
    isEnded = true;
  });
  first.tell(after);
  if (crash) {
    await until(() => isEnded || isConverged(lab, first), `request ${crash.at}`);
    forget?.();
    await first.close();
    const second = await startCore(lab.source, {});
    second.tell(after);
    await converged(lab, second, `crash at ${crash.at}`);
    await second.close();
  } else {
    await converged(lab, first);
    await first.close();
  }
  check(lab, uids, crash?.at);
  await lab.close();
  return seen;
}

async function begin(lab: Lab): Promise<Core> {
  lab.simulated?.put(map('stranger', '1') as never);
  const core = await startCore(lab.source, {});
  core.tell(before);
  await core.settled();
  return core;
}

async function converged(lab: Lab, core: Core, when = 'no crash'): Promise<void> {
  await until(() => isConverged(lab, core), `the rollout (${when}): ${namesOf(lab)}; ${core.events.at(-1)?.message}`);
}

function isConverged(lab: Lab, core: Core): boolean {
  const outcomes = new Map(core.events.map((event) => [event.stackId, event.outcome]));
  return (
    namesOf(lab).join() === wanted.join() && core.reconciler.counts.unsettled === 0 && outcomes.get(c) === 'removed'
  );
}

function check(lab: Lab, uids: ReadonlyMap<string, string>, at?: number): void {
  const now = uidsOf(lab);
  for (const name of survivors) assert.is(now.get(name), uids.get(name), `${name} was made anew (crash at ${at})`);
}

function mapsOf({ simulated }: Lab) {
  return (simulated?.objects() ?? []).filter(
    ({ kind, metadata: { name } }) =>
      kind === 'ConfigMap' && name !== 'kube-root-ca.crt' && !name.startsWith('brokkr-inv-'),
  );
}

function namesOf(lab: Lab): string[] {
  return mapsOf(lab)
    .map(({ metadata }) => metadata.name)
    .sort();
}

function uidsOf(lab: Lab): Map<string, string> {
  return new Map(mapsOf(lab).map(({ metadata }) => [metadata.name, metadata.uid ?? '']));
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
