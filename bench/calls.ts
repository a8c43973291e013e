import { create } from '@bufbuild/protobuf';
import { type BrokkrClient, connectBroker } from '../client/client.ts';
import { Outcome, ReportedEventSchema } from '../gen/brokkr/v1/event_pb.ts';
import { TargetStateKind } from '../gen/brokkr/v1/target_state_pb.ts';
import { formatPercentiles, median, printFigure } from './figures.ts';
import { startTestbed, type Testbed } from './testbed.ts';

const connectionCount = 64;
const rounds = 3;
const roundDurationMs = 5_000;
const historySize = 15_000;
const eventsPerCall = 100;

interface Caller {
  readonly client: BrokkrClient;
  readonly incarnation: bigint;
  readonly digest: Uint8Array;
  readonly stackId: string;
  readonly deploymentId: string;
  readonly checksum: string;
  readonly generation: bigint;
  sequence: bigint;
}

/** Idle pulls with a current digest, and single-event reports, from 64 connections, with 15,000 events in the history. */
export async function benchCalls(): Promise<void> {
  const testbed = await startTestbed();
  const callers = await startCallers(testbed);
  try {
    for (const caller of callers) await report(caller, Math.ceil(historySize / connectionCount));
    await measure(testbed, 'idle pull, current digest', callers, async (caller) => {
      const answer = await caller.client.agent.pullTargetState({
        incarnation: caller.incarnation,
        digest: caller.digest,
      });
      if (answer.kind !== TargetStateKind.UNCHANGED) throw new Error('the digest is not current');
    });
    await measure(testbed, 'report of one event', callers, (caller) => report(caller, 1));
    printFigure('broker RSS after that', `${Math.round(testbed.brokerRssMb())} MB`);
  } finally {
    for (const { client } of callers) client.close();
    await testbed.close();
  }
}

async function measure(
  testbed: Testbed,
  name: string,
  callers: readonly Caller[],
  call: (caller: Caller) => Promise<void>,
): Promise<void> {
  const perSecond: number[] = [];
  const perCpuSecond: number[] = [];
  const latencies: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const cpuBefore = testbed.brokerCpuSeconds();
    const startedAt = performance.now();
    let count = 0;
    await Promise.all(
      callers.map(async (caller) => {
        while (performance.now() - startedAt < roundDurationMs) {
          const callAt = performance.now();
          await call(caller);
          latencies.push(performance.now() - callAt);
          count += 1;
        }
      }),
    );
    perSecond.push((count * 1000) / (performance.now() - startedAt));
    perCpuSecond.push(count / (testbed.brokerCpuSeconds() - cpuBefore));
  }
  const note = `${Math.round(median(perCpuSecond))} per broker CPU second; ${formatPercentiles(latencies)}; ${connectionCount} connections`;
  printFigure(name, `${Math.round(median(perSecond))} calls/s`, note);
}

async function startCallers(testbed: Testbed): Promise<Caller[]> {
  const { broker, admin } = testbed.admin;
  const { stack } = await broker.createStack({ name: 'bench', labels: ['bench'] });
  const manifest = Buffer.from('apiVersion: v1\nkind: ConfigMap\nmetadata: { name: bench }\n');
  await broker.submitDeployment({ stack: stack?.id, manifest });
  const callers: Caller[] = [];
  for (let index = 0; index < connectionCount; index += 1) {
    const { pak } = await admin.createAgent({ name: `bench-${index}`, labels: ['bench'] });
    const client = connectBroker({ url: testbed.url, pak });
    const { incarnation } = await client.agent.startAgent({ clusterId: `bench-${index}` });
    const state = await client.agent.pullTargetState({ incarnation });
    const [entry] = state.entries;
    if (!entry) throw new Error('the agent serves nothing');
    callers.push({
      client,
      incarnation,
      digest: state.digest,
      stackId: entry.stackId,
      deploymentId: entry.deploymentId,
      checksum: Buffer.from(entry.checksum).toString('hex'),
      generation: entry.generation,
      sequence: 0n,
    });
  }
  return callers;
}

async function report(caller: Caller, count: number): Promise<void> {
  for (let left = count; left > 0; left -= eventsPerCall) {
    const events = Array.from({ length: Math.min(left, eventsPerCall) }, () => {
      caller.sequence += 1n;
      const { sequence, stackId, deploymentId, checksum, generation } = caller;
      return create(ReportedEventSchema, {
        sequence,
        stackId,
        deploymentId,
        checksum,
        generation,
        outcome: Outcome.APPLIED,
        message: 'applied',
      });
    });
    await caller.client.agent.reportEvents({ incarnation: caller.incarnation, events });
  }
}
