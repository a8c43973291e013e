import { setTimeout as delay } from 'node:timers/promises';
import { ConnectError } from '@connectrpc/connect';
import { type BrokkrClient, connectBroker } from '../client/client.ts';
import { formatMs, median, printFigure } from './figures.ts';
import { startTestbed } from './testbed.ts';

const runCount = 5;
const probeIntervalMs = 5;

const repeatText = (count: number, build: (index: number) => string) =>
  Array.from({ length: count }, (_, index) => build(index));
const head = (name: string) => `apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: ${name}\n`;
const anchors = 'bcdefghi';
/** Aliases of eight levels, each nine times as large as the previous one. */
const aliasBomb = `a: &a [${repeatText(9, () => 'x')}]\n${repeatText(8, (at) => `${anchors[at]}: &${anchors[at]} [${repeatText(9, () => `*${`a${anchors}`[at]}`)}]\n`).join('')}`;
const values = (count: number, value: string) => repeatText(count, (at) => `  k${at}: ${value}\n`).join('');

/** The first two depend on the run, so that every object differs from the stack's. */
const manifests: readonly (readonly [name: string, build: (run: number) => string])[] = [
  ['4,000 objects', (run) => repeatText(4_000, (at) => `${head(`c-${at}`)}data:\n  run: "${run}"\n`).join('---\n')],
  [
    '4 objects of 40,000 keys',
    (run) => repeatText(4, (at) => `${head(`c-${at}`)}data:\n${values(40_000, `v${run}`)}`).join('---\n'),
  ],
  ['an alias bomb', () => aliasBomb],
  ['100,000 brackets', () => '['.repeat(100_000)],
  ['100,000 nested maps', () => `${'{a: '.repeat(100_000)}1${'}'.repeat(100_000)}`],
  ['one key 100,000 times', () => `${head('twice')}data:\n${repeatText(100_000, () => '  k: v\n').join('')}`],
  ['one text of 8 MiB', () => `${head('long')}data:\n  k: ${'x'.repeat(8 << 20)}`],
];

/** Measures large and malicious submissions, and how long another caller waits meanwhile: the broker's event loop must not stall. */
export async function benchManifests(): Promise<void> {
  const testbed = await startTestbed();
  const otherCaller = connectBroker({ url: testbed.url, pak: testbed.adminPak });
  const { broker } = testbed.admin;
  try {
    await broker.createStack({ name: 'bench' });
    printFigure(
      'another call, without a submission',
      formatMs(await worstLatencyDuring(otherCaller, () => delay(2_000))),
      'worst in 2 s',
    );
    for (const [name, build] of manifests) {
      const durations: number[] = [];
      const worstLatencies: number[] = [];
      let answer = '';
      for (let run = 0; run < runCount; run += 1) {
        const manifest = Buffer.from(build(run));
        worstLatencies.push(
          await worstLatencyDuring(otherCaller, async () => {
            const startedAt = performance.now();
            answer = await broker.submitDeployment({ stack: 'bench', manifest, allowEmpty: true }).then(
              ({ changes }) => `accepted: ${changes.length} changes`,
              (error: unknown) => `rejected: ${ConnectError.from(error).rawMessage.slice(0, 60)}`,
            );
            durations.push(performance.now() - startedAt);
          }),
        );
      }
      const note = `another call meanwhile: worst ${formatMs(Math.max(...worstLatencies))}, median of worst ${formatMs(median(worstLatencies))}; ${answer}`;
      printFigure(`submitting ${name}`, formatMs(median(durations)), note);
    }
  } finally {
    otherCaller.close();
    await testbed.close();
  }
}

/** Returns the longest duration of small calls by another caller while the work is running. */
async function worstLatencyDuring(otherCaller: BrokkrClient, work: () => Promise<unknown>): Promise<number> {
  let worst = 0;
  let isOver = false;
  const probing = (async () => {
    while (!isOver) {
      const callStartedAt = performance.now();
      await otherCaller.broker.whoAmI({});
      worst = Math.max(worst, performance.now() - callStartedAt);
      await delay(probeIntervalMs);
    }
  })();
  await work();
  isOver = true;
  await probing;
  return worst;
}
