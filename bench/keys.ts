import { connectBroker } from '../client/client.ts';
import { formatMs, formatPercentiles, printFigure } from './figures.ts';
import { startTestbed } from './testbed.ts';

const agentCount = 10_000;
const connectionCount = 50;
const warmCallCount = 5_000;

/** What it costs to see 10,000 agents' keys for the first time, and one of them again. */
export async function benchKeys(): Promise<void> {
  const testbed = await startTestbed();
  const clients = Array.from({ length: connectionCount }, () => connectBroker({ url: testbed.url }));
  try {
    const paks: string[] = [];
    await Promise.all(
      Array.from({ length: 8 }, async (_, lane) => {
        for (let index = lane; index < agentCount; index += 8) {
          const { pak } = await testbed.admin.admin.createAgent({ name: `key-${index}` });
          paks.push(pak);
        }
      }),
    );
    const call = (index: number) =>
      clients[index % connectionCount]?.broker.whoAmI(
        {},
        { headers: { authorization: `Bearer ${paks[index % agentCount]}` } },
      );
    const first = await timed(agentCount, call);
    const note = (cpu: number, count: number) =>
      `${formatMs((cpu * 1000) / count)} of broker CPU each; ${connectionCount} connections`;
    printFigure(
      `first call of ${agentCount} keys`,
      `${(first.wallMs / 1000).toFixed(1)} s`,
      `${note(first.cpu, agentCount)}; ${formatPercentiles(first.each)}`,
    );
    const again = await timed(warmCallCount, () => call(0));
    printFigure('a call with a remembered key', formatPercentiles(again.each), note(again.cpu, warmCallCount));
    printFigure('broker RSS with those keys remembered', `${Math.round(testbed.brokerRssMb())} MB`);
  } finally {
    for (const client of clients) client.close();
    await testbed.close();
  }

  async function timed(count: number, call: (index: number) => Promise<unknown> | undefined) {
    const each: number[] = [];
    const cpuBefore = testbed.brokerCpuSeconds();
    const startedAt = performance.now();
    let next = 0;
    const lane = async () => {
      for (let index = next++; index < count; index = next++) {
        const callAt = performance.now();
        await call(index);
        each.push(performance.now() - callAt);
      }
    };
    await Promise.all(Array.from({ length: connectionCount }, lane));
    return { each, wallMs: performance.now() - startedAt, cpu: testbed.brokerCpuSeconds() - cpuBefore };
  }
}
