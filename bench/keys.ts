import { connectBroker } from '../client/client.ts';
import { formatMs, formatPercentiles, printFigure } from './figures.ts';
import { startTestbed, type Testbed } from './testbed.ts';

const agentCount = 10_000;
const connectionCount = 50;
const warmCallCount = 5_000;

/** Measures the first calls with the keys of 10,000 agents, and further calls with one of them. */
export async function benchKeys(): Promise<void> {
  const testbed = await startTestbed();
  const clients = Array.from({ length: connectionCount }, () => connectBroker({ url: testbed.url }));
  try {
    const paks = await createAgents(testbed);
    const call = (index: number) =>
      clients[index % connectionCount]?.broker.whoAmI(
        {},
        { headers: { authorization: `Bearer ${paks[index % agentCount]}` } },
      );
    const firstCalls = await timeCalls(testbed, agentCount, call);
    const note = (cpu: number, count: number) =>
      `${formatMs((cpu * 1000) / count)} of broker CPU per call; ${connectionCount} connections`;
    printFigure(
      `first call of ${agentCount} keys`,
      `${(firstCalls.wallMs / 1000).toFixed(1)} s`,
      `${note(firstCalls.cpu, agentCount)}; ${formatPercentiles(firstCalls.latencies)}`,
    );
    const repeatedCalls = await timeCalls(testbed, warmCallCount, () => call(0));
    printFigure(
      'a call with a cached key',
      formatPercentiles(repeatedCalls.latencies),
      note(repeatedCalls.cpu, warmCallCount),
    );
    printFigure('broker RSS with these keys cached', `${Math.round(testbed.brokerRssMb())} MB`);
  } finally {
    for (const client of clients) client.close();
    await testbed.close();
  }
}

const lanes = 8;

/** Creates the agents, several at once, and returns their keys. */
async function createAgents({ admin: { admin } }: Testbed): Promise<string[]> {
  const paks: string[] = [];
  await Promise.all(
    Array.from({ length: lanes }, async (_, lane) => {
      for (let index = lane; index < agentCount; index += lanes)
        paks.push((await admin.createAgent({ name: `key-${index}` })).pak);
    }),
  );
  return paks;
}

/** Makes calls on all connections at once; returns their latencies and the total wall and CPU time. */
async function timeCalls(testbed: Testbed, count: number, call: (index: number) => Promise<unknown> | undefined) {
  const latencies: number[] = [];
  const cpuBefore = testbed.brokerCpuSeconds();
  const startedAt = performance.now();
  let next = 0;
  const lane = async () => {
    for (let index = next++; index < count; index = next++) {
      const callStartedAt = performance.now();
      await call(index);
      latencies.push(performance.now() - callStartedAt);
    }
  };
  await Promise.all(Array.from({ length: connectionCount }, lane));
  return { latencies, wallMs: performance.now() - startedAt, cpu: testbed.brokerCpuSeconds() - cpuBefore };
}
