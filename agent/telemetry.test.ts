// time limit: 5 min
import pino from 'pino';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { needs } from '../test/needs.ts';
import { type Cutter, startCutter } from './cutter.ts';
import { configMap, connect, type Lab, openReal, openSimulated, stackId, until } from './harness.ts';
import { idOf, type KubeObject, type ObjectId } from './object.ts';
import { createOwnership } from './ownership.ts';
import { createTelemetry, type TelemetryLimits } from './telemetry.ts';
import { sizeOf, type TelemetryItem } from './telemetry-item.ts';

const simulated = suite('telemetry, simulated cluster');
const real = suite('telemetry, real API server');
const forLogs = suite('telemetry, logs');
const lab = await openSimulated({ pods: true, lineEveryMs: 0, historySize: 30 });
const line = await startCutter(lab);
const mine = stackId('mine');
describeEvents(simulated, lab, line);
describeLogs();
if (needs('go')) describeEvents(real, await openReal());
simulated.run();
forLogs.run();
real.run();

const words = (item: TelemetryItem) => {
  if (item.what === 'gap') return `gap of ${item.count}: ${item.reason}`;
  return item.what === 'line' ? item.text : `${item.event.object.kind} ${item.event.reason}`;
};

interface Opened {
  readonly told: () => readonly TelemetryItem[];
  readonly texts: () => string[];
  readonly owns: (...ids: ObjectId[]) => void;
  readonly streams: () => number;
  close(): Promise<void>;
}

/** Telemetry of a stack that has some objects; what it tells is taken at once. */
function open(
  { source }: Pick<Lab, 'source'>,
  more: { level?: 'off' | 'events' | 'all'; limits?: TelemetryLimits; account?: string } = {},
): Opened {
  const cluster = connect(source);
  const ownership = createOwnership();
  const telemetry = createTelemetry({
    level: more.level ?? 'all',
    cluster,
    namespace: '',
    ownership,
    accountOf: () => more.account ?? '',
    stackIds: () => [mine],
    log: pino({ level: 'silent' }),
    retry: { baseMs: 20, maxMs: 100 },
    ...(more.limits && { limits: more.limits }),
  });
  const ending = new AbortController();
  const running = telemetry.run(ending.signal);
  const told: TelemetryItem[] = [];
  const take = () => {
    for (let batch = telemetry.outbox.take(); batch; batch = telemetry.outbox.take()) {
      told.push(...batch.items);
      telemetry.outbox.received(batch.sequence);
    }
    return told;
  };
  return {
    told: take,
    texts: () => take().map(words),
    owns: (...ids) =>
      ownership.note(
        mine,
        ids.map((id) => ({ id, uid: '' })),
      ),
    streams: () => telemetry.streams,
    async close() {
      ending.abort();
      await running;
      cluster.close();
    },
  };
}

let made = 0;
/** An event as a controller writes it. */
async function tellEvent({ hand }: Lab, about: KubeObject, reason: string): Promise<void> {
  const { namespace = 'default', name, uid } = about.metadata;
  const { apiVersion, kind } = about;
  await hand.create({
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

function describeEvents(test: typeof simulated, place: Lab, cutter?: Cutter): void {
  const { hand } = place;
  const closing: Opened[] = [];
  const start = (...args: Parameters<typeof open>) => {
    const opened = open(...args);
    closing.push(opened);
    return opened;
  };
  /** An object, owned by another one. */
  const make = (name: string, owner?: KubeObject) => {
    const map = configMap(`${name}-${++made}`, {}, 'default');
    const ownerReferences = owner && [
      { apiVersion: owner.apiVersion, kind: owner.kind, name: owner.metadata.name, uid: owner.metadata.uid! },
    ];
    return hand.create({ ...map, metadata: { ...map.metadata, ...(ownerReferences && { ownerReferences }) } });
  };
  /** Tells of it until that is heard: a watch that begins asks for nothing that was before. */
  const heard = async (opened: Opened, about: KubeObject, reason: string) => {
    await until(async () => {
      await tellEvent(place, about, reason);
      return opened.texts().some((text) => text.endsWith(reason));
    }, `an event ${reason}`);
  };
  test.after.each(async () => {
    await Promise.all(closing.splice(0).map((opened) => opened.close()));
  });
  test.after(async () => {
    if (place !== lab) await place.close();
  });

  test('tells events about what a stack lists, and what that owns, and no others', async () => {
    const root = await make('root');
    const leaf = await make('leaf', await make('middle', root));
    const stranger = await make('stranger');
    const opened = start(place);
    opened.owns(idOf(root));
    await heard(opened, root, 'First');
    await tellEvent(place, stranger, 'Foreign');
    await tellEvent(place, leaf, 'OfAPart');
    await tellEvent(place, root, 'Last');
    await until(() => opened.texts().includes('ConfigMap Last'), 'the last event');
    assert.equal([...new Set(opened.texts())], ['ConfigMap First', 'ConfigMap OfAPart', 'ConfigMap Last']);
    const told = opened.told().find((item) => words(item) === 'ConfigMap OfAPart');
    assert.ok(told?.what === 'event');
    assert.equal(
      { ...told.event, at: told.event.at?.toISOString(), firstAt: told.event.firstAt?.toISOString() },
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
    for (const opened of [off, on]) opened.owns(idOf(root));
    await heard(on, root, 'Told');
    assert.equal(off.texts(), []);
  });

  if (place.simulated) {
    const cluster = place.simulated;

    test('goes on where it was when the line was cut, and marks what the cluster has forgotten', async () => {
      const root = await make('root');
      const opened = start({ source: cutter!.source });
      opened.owns(idOf(root));
      await heard(opened, root, 'First');
      cutter!.part();
      await tellEvent(place, root, 'Meanwhile');
      cutter!.join();
      await until(() => opened.texts().includes('ConfigMap Meanwhile'), 'what came meanwhile');
      assert.not.ok(opened.texts().some((text) => text.startsWith('gap')));
      cutter!.part();
      for (let times = 0; times < 150; times += 1) await tellEvent(place, root, 'Forgotten');
      cutter!.join();
      await until(() => opened.texts().includes('gap of 0: history-lost'), 'the mark');
      await heard(opened, root, 'Again');
    });

    test('asks for no more than it needs', async () => {
      await hand.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'elsewhere' } }).catch(() => {});
      const root = await make('root');
      const leaf = await make('leaf', root);
      const foreign = configMap('foreign', {}, 'elsewhere');
      const stranger = await hand.create(foreign);
      cluster.clearRequests();
      const opened = start(place, { level: 'events' });
      opened.owns(idOf(root));
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
      opened.owns(idOf(deployment), idOf(probe));
      await heard(opened, probe, 'Probe');
      await hand.create(deployment);
      await until(() => opened.texts().includes('Deployment ScalingReplicaSet'), 'the event of the Deployment');
      await until(() => opened.texts().some((text) => text.startsWith('ReplicaSet ')), 'an event of its ReplicaSet');
    });
  }
}

function describeLogs(): void {
  const cluster = lab.simulated!;
  const closing: Opened[] = [];
  const start = (...args: Parameters<typeof open>) => {
    const opened = open(...args);
    closing.push(opened);
    return opened;
  };
  const deployment = (name: string, annotations: object = { 'brokkr.io/stream-logs': 'true' }) => {
    const labels = { app: name };
    const containers = [{ name: 'main', image: 'main:1' }];
    return {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name, namespace: 'default' },
      spec: {
        selector: { matchLabels: labels },
        template: { metadata: { labels, annotations }, spec: { containers } },
      },
    };
  };
  /** Makes a workload, and answers how its pod writes. */
  const run = async (name: string, annotations?: object) => {
    cluster.put(deployment(name, annotations) as never);
    const pod = () => cluster.objects().find(({ kind, metadata }) => kind === 'Pod' && metadata.labels?.app === name);
    await until(() => JSON.stringify(pod()?.status ?? {}).includes('"running"'), `a pod of ${name}`);
    const podName = pod()!.metadata.name;
    return { name: podName, write: (...lines: string[]) => cluster.write('default', podName, 'main', lines) };
  };
  const idOfWorkload = (name: string): ObjectId => ({
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    namespace: 'default',
    name,
  });
  const linesOf = (opened: Opened) => opened.told().flatMap((item) => (item.what === 'line' ? [item.text] : []));
  const upTo = (opened: Opened, text: string) => until(() => linesOf(opened).includes(text), `the line ${text}`);
  forLogs.after.each(async () => {
    await Promise.all(closing.splice(0).map((opened) => opened.close()));
    for (const { kind, metadata } of cluster.objects())
      if (kind === 'Deployment') cluster.remove('apps/v1', 'Deployment', 'default', metadata.name);
  });
  forLogs.after(async () => {
    await line.close();
    await lab.close();
  });

  forLogs('are told from the beginning, of pods that ask for it and belong to a stack', async () => {
    const opened = start(lab);
    opened.owns(idOfWorkload('asks'), idOfWorkload('silent'), idOfWorkload('other'));
    const asks = await run('asks');
    const others = [
      await run('silent', {}),
      await run('other', { 'brokkr.io/stream-logs': 'yes' }),
      await run('stranger'),
    ];
    for (const other of others) other.write('nobody asked');
    asks.write('one', 'two');
    await upTo(opened, 'two');
    assert.equal(opened.texts(), ['one', 'two']);
    assert.equal(opened.told()[0], {
      what: 'line',
      stackId: mine,
      source: { namespace: 'default', pod: asks.name, container: 'main' },
      at: opened.told()[0]!.what === 'line' ? (opened.told()[0] as { at: Date }).at : undefined,
      text: 'one',
      isCut: false,
    });
    cluster.put({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: asks.name, namespace: 'default', annotations: { 'brokkr.io/stream-logs': null } },
    } as never);
    await until(() => opened.streams() === 0, 'the stream to end');
  });

  forLogs('are told once each over broken connections', async () => {
    const opened = start({ source: line.source });
    opened.owns(idOfWorkload('broken'));
    const pod = await run('broken');
    for (let round = 0; round < 5; round += 1) {
      pod.write(...Array.from({ length: 5 }, (_, at) => `${round}.${at}`));
      if (round > 0) await upTo(opened, `${round - 1}.4`);
      line.cut();
    }
    await upTo(opened, '4.4');
    const wanted = [0, 1, 2, 3, 4].flatMap((round) => [0, 1, 2, 3, 4].map((at) => `${round}.${at}`));
    assert.equal(linesOf(opened), wanted);
  });

  forLogs('that are too many are left out with a mark, and long lines are cut', async () => {
    const limits = { logs: { rate: { items: 20, bytes: 64 << 10 } } };
    const opened = start(lab, { limits });
    opened.owns(idOfWorkload('noisy'));
    const pod = await run('noisy');
    pod.write(...Array.from({ length: 100 }, (_, at) => `line ${at}`));
    await until(() => opened.texts().some((text) => /^gap of \d+: rate-limit$/.test(text)), 'the mark');
    await until(async () => {
      pod.write('x'.repeat(20_000));
      return opened.told().some((item) => item.what === 'line' && item.isCut);
    }, 'the long line');
    const long = opened.told().find((item) => item.what === 'line' && item.isCut)!;
    assert.ok(sizeOf(long) < 9_000);
    const lines = opened.told().filter(({ what }) => what === 'line').length;
    const missing = opened.told().reduce((sum, item) => sum + (item.what === 'gap' ? item.count : 0), 0);
    assert.ok(missing >= 60 && lines >= 20, `${lines} lines and ${missing} missing`);
  });

  forLogs('of what writes without an end are skipped', async () => {
    const opened = start(lab, { limits: { logs: { rate: { items: 1_000, bytes: 10_000 } } } });
    opened.owns(idOfWorkload('endless'));
    const pod = await run('endless');
    pod.write(...Array.from({ length: 2_000 }, (_, at) => `line ${at} ${'x'.repeat(100)}`));
    await until(() => opened.texts().some((text) => /^gap of \d+: rate-limit$/.test(text)), 'the mark');
    await until(() => {
      pod.write('later');
      return linesOf(opened).includes('later');
    }, 'what is written later');
    assert.not.ok(linesOf(opened).some((text) => text.startsWith('line 1999')));
  });

  forLogs('are followed no more at once than allowed, with a mark for those that wait', async () => {
    const opened = start(lab, { limits: { logs: { streams: 1 } } });
    opened.owns(idOfWorkload('first'), idOfWorkload('second'));
    const first = await run('first');
    first.write('of the first');
    await upTo(opened, 'of the first');
    const second = await run('second');
    second.write('of the second');
    await until(() => opened.texts().includes('gap of 0: stream-limit'), 'the mark');
    assert.not.ok(linesOf(opened).includes('of the second'));
    cluster.remove('apps/v1', 'Deployment', 'default', 'first');
    await upTo(opened, 'of the second');
  });

  forLogs('of before the agent began are not told, and a mark says so', async () => {
    const pod = await run('older');
    pod.write('before');
    await new Promise((resolve) => setTimeout(resolve, 2_500));
    const opened = start(lab);
    opened.owns(idOfWorkload('older'));
    await until(() => opened.texts().includes('gap of 0: not-followed') && opened.streams() === 1, 'the mark');
    await until(() => {
      pod.write('now');
      return linesOf(opened).includes('now');
    }, 'what is written now');
    assert.not.ok(linesOf(opened).includes('before'));
  });

  forLogs('are read with the rights of the stack’s own account', async () => {
    const opened = start(lab, { account: 'default/deployer' });
    opened.owns(idOfWorkload('limited'));
    cluster.clearRequests();
    (await run('limited')).write('seen');
    await upTo(opened, 'seen');
    const asked = cluster.requests.filter(({ path }) => path.endsWith('/log'));
    assert.ok(asked.length > 0);
    assert.ok(asked.every(({ impersonated }) => impersonated === 'system:serviceaccount:default:deployer'));
  });

  forLogs('are not asked for where only events are told', async () => {
    const opened = start(lab, { level: 'events' });
    opened.owns(idOfWorkload('quiet'));
    cluster.clearRequests();
    (await run('quiet')).write('unheard');
    await new Promise((resolve) => setTimeout(resolve, 500));
    assert.equal(linesOf(opened), []);
    assert.not.ok(cluster.requests.some(({ path }) => path.endsWith('/log') || path.endsWith('/pods')));
  });
}
