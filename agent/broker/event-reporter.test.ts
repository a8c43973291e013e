import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http2';
import type { AddressInfo } from 'node:net';
import pino from 'pino';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { connectBroker } from '../../client/client.ts';
import { Outcome } from '../../gen/brokkr/v1/event_pb.ts';
import { PlacementPhase } from '../../gen/brokkr/v1/placement_pb.ts';
import { configMap, configMapId } from '../../test/agent/test-agent.ts';
import { openEnvironment, until } from '../../test/agent/test-environment.ts';
import { eventOf, eventSignature, type StackEvent } from '../target/stack-event.ts';
import type { Entry } from '../target/target-state.ts';
import { createBrokerClient } from './client.ts';
import { BrokerError } from './error.ts';
import { createEventReporter } from './event-reporter.ts';
import { fitting } from './events.ts';

const environment = await openEnvironment();
const log = pino({ level: 'silent' });
const reporter = suite('event reporter');
reporter.after(() => environment.close());

/** Starts an agent that only reports events, about one stack that is placed on it. */
async function begin(name: string, options: { capacity?: number } = {}) {
  const client = environment.broker.client(await environment.createAgent(name));
  await environment.submit(name, [configMap(name, {})], [name]);
  const broker = createBrokerClient(client, () => {});
  const ending = new AbortController();
  const identity = { clusterId: randomUUID(), version: 'test', kubernetesVersion: 'v1' };
  await broker.start(identity, { stacks: [], epoch: 0n }, ending.signal);
  const pulled = { digest: new Uint8Array(), have: [], pageToken: '', waitMs: 0, epoch: 0n, order: 0n, isSlow: false };
  const [entry] = (await broker.pull(pulled, ending.signal)).entries;
  const lost: string[] = [];
  const counts: Record<string, number> = {};
  const made = createEventReporter({
    broker,
    log,
    lost: (stackId) => lost.push(stackId),
    count: (receipt) => {
      counts[receipt] = (counts[receipt] ?? 0) + 1;
    },
    ...options,
  });
  const outcomes = async () =>
    (await environment.admin.broker.listEvents({ stack: name, pageSize: 100 })).events
      .map(({ outcome }) => outcome)
      .reverse();
  const run = () => void made.run(ending.signal);
  return { entry: entry!, made, run, lost, counts, outcomes, end: () => ending.abort() };
}

const event = (entry: Entry, message: string, more: Partial<StackEvent> = {}): StackEvent => ({
  ...eventOf(entry, 'failed', message),
  ...more,
});

reporter('sends events in their order', async () => {
  const { entry, made, run, counts, outcomes, end } = await begin('in-order');
  made.report(event(entry, 'first'));
  made.report(event(entry, '', { outcome: 'applied' }));
  run();
  await until(
    () => made.pending === 0,
    () => 'the events to be sent',
  );
  assert.equal(await outcomes(), [Outcome.FAILED, Outcome.APPLIED]);
  assert.equal(counts, { accepted: 2 });
  end();
});

reporter('keeps a bounded number of events, and the broker records a gap for the others', async () => {
  const { entry, made, run, lost, counts, outcomes, end } = await begin('bounded', { capacity: 3 });
  for (let index = 0; index < 10; index++) made.report(event(entry, `event ${index}`));
  assert.is(made.pending, 3);
  run();
  await until(
    () => made.pending === 0,
    () => 'the events to be sent',
  );
  assert.equal(await outcomes(), [Outcome.GAP, Outcome.FAILED, Outcome.FAILED, Outcome.FAILED]);
  assert.equal(counts, { dropped: 7, accepted: 3 });
  assert.equal(lost, [], 'a later event of the same stack has its present state');
  end();
});

reporter('drops events about drift before events about the state of a stack', async () => {
  const { entry, made, run, lost, outcomes, end } = await begin('drifting', { capacity: 2 });
  made.report(event(entry, '', { outcome: 'applied' }));
  for (let index = 0; index < 3; index++) made.report(event(entry, `repair ${index}`, { outcome: 'repaired' }));
  for (let index = 0; index < 3; index++) made.report(event(entry, `drift ${index}`, { outcome: 'drifted' }));
  run();
  await until(
    () => made.pending === 0,
    () => 'the events to be sent',
  );
  assert.equal(await outcomes(), [Outcome.APPLIED, Outcome.GAP, Outcome.DRIFTED]);
  const { placements } = await environment.admin.broker.listPlacements({ stack: 'drifting' });
  assert.is(placements[0]?.phase, PlacementPhase.APPLIED);
  assert.equal(lost, []);
  end();
});

reporter('names the stacks whose last state was dropped', async () => {
  const { entry, made, run, lost, end } = await begin('outnumbered', { capacity: 2 });
  const other = (id: string) => event(entry, '', { stackId: id, outcome: 'applied' });
  made.report(event(entry, '', { outcome: 'applied' }));
  for (let index = 0; index < 2; index++) made.report(other(randomUUID()));
  run();
  await until(
    () => lost.length > 0,
    () => 'the lost state to be announced',
  );
  assert.equal(lost, [entry.stackId]);
  end();
});

reporter('continues after an event that the broker refuses or does not understand', async () => {
  const { entry, made, run, counts, outcomes, end } = await begin('poisoned');
  made.report(event(entry, 'about nothing', { stackId: randomUUID() }));
  made.report(event(entry, 'no id at all', { stackId: 'poison' }));
  made.report(event(entry, 'with \u0000 and \ud800 in it'));
  const changes = Array.from({ length: 300 }, (_, index) => ({
    object: configMapId(`o-${index}`),
    action: 'failed' as const,
    message: 'x'.repeat(5_000),
  }));
  for (let index = 0; index < 10; index++) made.report(event(entry, 'x'.repeat(10_000), { changes }));
  made.report(event(entry, '', { outcome: 'applied' }));
  run();
  await until(
    () => made.pending === 0,
    () => 'the events to be sent',
  );
  const reported = await outcomes();
  assert.is(reported.filter((outcome) => outcome === Outcome.FAILED).length, 11);
  assert.is(reported.at(-1), Outcome.APPLIED);
  assert.equal(counts, { refused: 2, accepted: 12 });
  end();
});

reporter('sends events with many fields in requests that the broker accepts', async () => {
  const { entry, made, run, counts, end } = await begin('wide');
  const changes = Array.from({ length: 100 }, (_, index) => ({
    object: configMapId(`o-${index}`),
    action: 'configured' as const,
    fields: Array.from({ length: 60 }, (_, field) => `.data.${String(field).padEnd(300, '€')}`),
    message: '',
  }));
  for (let index = 0; index < 30; index++) made.report(event(entry, '', { outcome: 'repaired', changes }));
  run();
  await until(
    () => made.pending === 0,
    () => 'the events to be sent',
  );
  assert.equal(counts, { accepted: 30 });
  end();
});

reporter('says when an event lists only some of its objects', () => {
  const changes = Array.from({ length: 250 }, (_, index) => ({
    object: configMapId(`many-${index}`),
    action: 'configured' as const,
    message: '',
  }));
  const fit = (count: number, message: string) =>
    fitting(eventOf({} as Entry, 'repaired', message, changes.slice(0, count)));
  assert.is(fit(250, 'applied again').changes.length, 100);
  assert.is(fit(250, 'applied again').message, 'applied again; 100 of 250 objects are listed');
  assert.is(fit(101, '').message, '100 of 101 objects are listed');
  assert.is(fit(100, '').message, '');
});

reporter('learns from any call that another agent has started with its key', async () => {
  const pak = await environment.createAgent('fenced');
  const fences: string[] = [];
  const first = createBrokerClient(environment.broker.client(pak), (reason) => fences.push(reason));
  const second = createBrokerClient(environment.broker.client(pak), () => {});
  const { signal } = new AbortController();
  const identity = { clusterId: randomUUID(), version: 'test', kubernetesVersion: 'v1' };
  for (const client of [first, second]) await client.start(identity, { stacks: [], epoch: 0n }, signal);
  assert.equal(fences, []);
  const error = await first
    .heartbeat({ reachable: true, latencyMs: undefined }, signal)
    .catch((reason: unknown) => reason);
  assert.is((error as BrokerError).kind, 'fenced');
  assert.equal(fences, [(error as BrokerError).message]);
});

reporter('takes a proxy’s 404 for an outage, not for an answer', async () => {
  const proxy = createServer((_request, response) => response.writeHead(404).end('no such page'));
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  const url = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
  const client = connectBroker({ url, pak: 'none' });
  const error = await createBrokerClient(client, () => {})
    .report([], AbortSignal.timeout(10_000))
    .catch((reason: unknown) => reason);
  client.close();
  proxy.close();
  assert.instance(error, BrokerError);
  assert.is((error as BrokerError).kind, 'unavailable');
});

reporter('recognizes an event that was reported before', () => {
  const entry = { stackId: 's', deploymentId: 'd', checksum: 'c', generation: 1n, order: 1n } as Entry;
  const first = event(entry, 'conflict at resourceVersion 123');
  assert.is(eventSignature(first), eventSignature(event(entry, 'conflict at resourceVersion 456')));
  assert.is.not(eventSignature(first), eventSignature(event(entry, 'forbidden')));
  assert.is.not(
    eventSignature(first),
    eventSignature(event({ ...entry, order: 2n }, 'conflict at resourceVersion 123')),
  );
});

reporter.run();
