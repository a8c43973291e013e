import { connectBroker } from '../client/client.ts';
import { figure, ms, spread } from './figures.ts';
import { startStand } from './testbed.ts';

const agents = 10_000;
const connections = 50;
const warmCalls = 5_000;

/** What it costs to see 10,000 agents' keys for the first time, and one of them again. */
export async function benchKeys(): Promise<void> {
  const stand = await startStand();
  const clients = Array.from({ length: connections }, () => connectBroker({ url: stand.url }));
  try {
    const paks: string[] = [];
    await Promise.all(
      Array.from({ length: 8 }, async (_, lane) => {
        for (let index = lane; index < agents; index += 8) {
          const { pak } = await stand.admin.admin.createAgent({ name: `key-${index}` });
          paks.push(pak);
        }
      }),
    );
    const call = (index: number) =>
      clients[index % connections]?.broker.whoAmI({}, { headers: { authorization: `Bearer ${paks[index % agents]}` } });
    const first = await timed(agents, call);
    const note = (cpu: number, count: number) =>
      `${ms((cpu * 1000) / count)} of broker CPU each; ${connections} connections`;
    figure(
      `first call of ${agents} keys`,
      `${(first.wallMs / 1000).toFixed(1)} s`,
      `${note(first.cpu, agents)}; ${spread(first.each)}`,
    );
    const again = await timed(warmCalls, () => call(0));
    figure('a call with a remembered key', spread(again.each), note(again.cpu, warmCalls));
    figure('broker RSS with those keys remembered', `${Math.round(stand.brokerRssMb())} MB`);
  } finally {
    for (const client of clients) client.close();
    await stand.close();
  }

  async function timed(count: number, call: (index: number) => Promise<unknown> | undefined) {
    const each: number[] = [];
    const cpuBefore = stand.brokerCpuSeconds();
    const startedAt = performance.now();
    let next = 0;
    const lane = async () => {
      for (let index = next++; index < count; index = next++) {
        const callAt = performance.now();
        await call(index);
        each.push(performance.now() - callAt);
      }
    };
    await Promise.all(Array.from({ length: connections }, lane));
    return { each, wallMs: performance.now() - startedAt, cpu: stand.brokerCpuSeconds() - cpuBefore };
  }
}
