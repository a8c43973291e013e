// time limit: 5 min
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type CollectedTelemetry, collectTelemetry, describeItem } from '../../test/agent/collected-telemetry.ts';
import { type InterruptibleCluster, startInterruptible } from '../../test/agent/interruptible-cluster.ts';
import {
  configMap,
  openRealCluster,
  openSimulatedCluster,
  type TestCluster,
  until,
} from '../../test/agent/test-agent.ts';
import { needs } from '../../test/runner/needs.ts';
import { idOf, type KubeObject } from '../object/kube-object.ts';

let made = 0;
const simulated = suite('Kubernetes events, simulated cluster');
const real = suite('Kubernetes events, real API server');
// It forgets soon what has happened.
const shortLived = await openSimulatedCluster({ historySize: 30 });
describe(simulated, shortLived, await startInterruptible(shortLived));
if (needs('go')) describe(real, await openRealCluster());
simulated.run();
real.run();

/** An event as a controller writes it. */
async function tellEvent({ admin }: TestCluster, about: KubeObject, reason: string): Promise<void> {
  const { namespace = 'default', name, uid } = about.metadata;
  const { apiVersion, kind } = about;
  await admin.create({
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { name: `${name}.${++made}`, namespace },
    involvedObject: { apiVersion, kind, namespace, name, uid },
    type: 'Normal',
    reason,
    message: `about ${name}`,
    count: 2,
    lastTimestamp: '2027-01-31T12:00:00Z',
    firstTimestamp: '2027-01-31T11:00:00Z',
    source: { component: 'test' },
  });
}

function describe(test: typeof simulated, place: TestCluster, interruptible?: InterruptibleCluster): void {
  const { admin } = place;
  const closing: CollectedTelemetry[] = [];
  const start = (...args: Parameters<typeof collectTelemetry>) => {
    const opened = collectTelemetry(...args);
    closing.push(opened);
    return opened;
  };
  /** An object, owned by another one. */
  const make = (name: string, owner?: KubeObject) => {
    const map = configMap(`${name}-${++made}`, {}, 'default');
    const ownerReferences = owner && [
      { apiVersion: owner.apiVersion, kind: owner.kind, name: owner.metadata.name, uid: owner.metadata.uid! },
    ];
    return admin.create({ ...map, metadata: { ...map.metadata, ...(ownerReferences && { ownerReferences }) } });
  };
  /** Tells of it until that is heard: a watch that begins asks for nothing that was before. */
  const heard = async (opened: CollectedTelemetry, about: KubeObject, reason: string) => {
    await until(async () => {
      await tellEvent(place, about, reason);
      return opened.texts().some((text) => text.endsWith(reason));
    }, `an event ${reason}`);
  };
  test.after.each(async () => {
    await Promise.all(closing.splice(0).map((opened) => opened.close()));
  });
  test.after(async () => {
    await interruptible?.close();
    await place.close();
  });

  test('tells events about what a stack lists, and what that owns, and no others', async () => {
    const root = await make('root');
    const leaf = await make('leaf', await make('middle', root));
    const stranger = await make('stranger');
    const opened = start(place);
    opened.own(idOf(root));
    await heard(opened, root, 'First');
    await tellEvent(place, stranger, 'Foreign');
    await tellEvent(place, leaf, 'OfAPart');
    await tellEvent(place, root, 'Last');
    await until(() => opened.texts().includes('ConfigMap Last'), 'the last event');
    assert.equal([...new Set(opened.texts())], ['ConfigMap First', 'ConfigMap OfAPart', 'ConfigMap Last']);
    const reported = opened.items().find((item) => describeItem(item) === 'ConfigMap OfAPart');
    assert.ok(reported?.type === 'event');
    assert.equal(
      { ...reported.event, at: reported.event.at?.toISOString(), firstAt: reported.event.firstAt?.toISOString() },
      {
        object: idOf(leaf),
        type: 'Normal',
        reason: 'OfAPart',
        message: `about ${leaf.metadata.name}`,
        count: 2,
        at: '2027-01-31T12:00:00.000Z',
        firstAt: '2027-01-31T11:00:00.000Z',
        source: 'test',
      },
    );
  });

  test('tells nothing when it is switched off', async () => {
    const root = await make('root');
    const [off, on] = [start(place, { level: 'off' }), start(place, { level: 'events' })];
    for (const opened of [off, on]) opened.own(idOf(root));
    await heard(on, root, 'Told');
    assert.equal(off.texts(), []);
  });

  if (place.simulated) {
    const cluster = place.simulated;

    test('goes on where it was when the line was cut, and marks what the cluster has forgotten', async () => {
      const root = await make('root');
      const opened = start({ source: interruptible!.source });
      opened.own(idOf(root));
      await heard(opened, root, 'First');
      interruptible!.disconnect();
      await tellEvent(place, root, 'Meanwhile');
      interruptible!.reconnect();
      await until(() => opened.texts().includes('ConfigMap Meanwhile'), 'what came meanwhile');
      assert.not.ok(opened.texts().some((text) => text.startsWith('gap')));
      interruptible!.disconnect();
      for (let times = 0; times < 150; times += 1) await tellEvent(place, root, 'Forgotten');
      interruptible!.reconnect();
      await until(() => opened.texts().includes('gap of 0: history_lost'), 'the mark');
      await heard(opened, root, 'Again');
    });

    test('asks for no more than it needs', async () => {
      await admin.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'elsewhere' } }).catch(() => {});
      const root = await make('root');
      const leaf = await make('leaf', root);
      const foreign = configMap('foreign', {}, 'elsewhere');
      const stranger = await admin.create(foreign);
      cluster.clearRequests();
      const opened = start(place, { level: 'events' });
      opened.own(idOf(root));
      await heard(opened, leaf, 'First');
      await tellEvent(place, leaf, 'Second');
      await tellEvent(place, stranger, 'Foreign');
      await tellEvent(place, root, 'Last');
      await until(() => opened.texts().includes('ConfigMap Last'), 'the last event');
      const asked = cluster.requests
        .filter(({ method, userAgent }) => method === 'GET' && userAgent === 'brokkr-agent/test')
        .map(({ path, query }) => `${path.split('/').slice(3).join('/')}?${query}`)
        .filter((text) => text !== '?');
      const gets = asked.filter((text) => text.includes('/configmaps/'));
      assert.is(gets.length, 1, `one look at the leaf, none at others: ${gets}`);
      const lists = asked.filter((text) => text.startsWith('events?') && !text.includes('watch=true'));
      assert.ok(
        lists.every((text) => text.includes('limit=1')),
        lists.join(),
      );
    });
  } else {
    test('tells what the controllers of a cluster say about a workload', async () => {
      const labels = { app: 'web' };
      const containers = [{ name: 'main', image: 'main:1' }];
      const spec = { selector: { matchLabels: labels }, template: { metadata: { labels }, spec: { containers } } };
      const deployment = {
        apiVersion: 'apps/v1',
        kind: 'Deployment',
        metadata: { name: 'web', namespace: 'default' },
        spec,
      };
      const probe = await make('probe');
      const opened = start(place);
      opened.own(idOf(deployment), idOf(probe));
      await heard(opened, probe, 'Probe');
      await admin.create(deployment);
      await until(() => opened.texts().includes('Deployment ScalingReplicaSet'), 'the event of the Deployment');
      await until(() => opened.texts().some((text) => text.startsWith('ReplicaSet ')), 'an event of its ReplicaSet');
    });
  }
}
