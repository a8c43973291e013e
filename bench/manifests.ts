import { setTimeout as delay } from 'node:timers/promises';
import { ConnectError } from '@connectrpc/connect';
import { connectBroker } from '../client/client.ts';
import { formatMs, median, printFigure } from './figures.ts';
import { startTestbed } from './testbed.ts';

const runCount = 5;
const probeIntervalMs = 5;

const repeatText = (count: number, of: (at: number) => string) => Array.from({ length: count }, (_, at) => of(at));
const head = (name: string) => `apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: ${name}\n`;
const anchors = 'bcdefghi';
/** Eight levels, each nine times the one before. */
const aliasBomb = `a: &a [${repeatText(9, () => 'x')}]\n${repeatText(8, (at) => `${anchors[at]}: &${anchors[at]} [${repeatText(9, () => `*${`a${anchors}`[at]}`)}]\n`).join('')}`;
const values = (count: number, value: string) => repeatText(count, (at) => `  k${at}: ${value}\n`).join('');

/** The first two are sent once each time, so that all of it differs from what the stack has. */
const manifests: readonly (readonly [what: string, of: (run: number) => string])[] = [
  ['4,000 objects', (run) => repeatText(4_000, (at) => `${head(`c-${at}`)}data:\n  run: "${run}"\n`).join('---\n')],
  [
    '4 objects of 40,000 keys',
    (run) => repeatText(4, (at) => `${head(`c-${at}`)}data:\n${values(40_000, `v${run}`)}`).join('---\n'),
  ],
  ['a bomb of aliases', () => aliasBomb],
  ['100,000 brackets', () => '['.repeat(100_000)],
  ['100,000 maps in each other', () => `${'{a: '.repeat(100_000)}1${'}'.repeat(100_000)}`],
  ['one key 100,000 times', () => `${head('twice')}data:\n${repeatText(100_000, () => '  k: v\n').join('')}`],
  ['8 MiB of one text', () => `${head('long')}data:\n  k: ${'x'.repeat(8 << 20)}`],
];

/** How long large and hostile submissions take, and how long another caller waits meanwhile: the broker's event loop must not stall. */
export async function benchManifests(): Promise<void> {
  const testbed = await startTestbed();
  const other = connectBroker({ url: testbed.url, pak: testbed.adminPak });
  const { broker } = testbed.admin;
  try {
    await broker.createStack({ name: 'bench' });
    printFigure(
      'another call, nothing being submitted',
      formatMs(await worstWhile(() => delay(2_000))),
      'the worst of 2 s',
    );
    for (const [what, of] of manifests) {
      const took: number[] = [];
      const worst: number[] = [];
      let answer = '';
      for (let run = 0; run < runCount; run += 1) {
        const manifest = Buffer.from(of(run));
        worst.push(
          await worstWhile(async () => {
            const startedAt = performance.now();
            answer = await broker.submitDeployment({ stack: 'bench', manifest, allowEmpty: true }).then(
              ({ changes }) => `taken: ${changes.length} changes`,
              (error: unknown) => `refused: ${ConnectError.from(error).rawMessage.slice(0, 60)}`,
            );
            took.push(performance.now() - startedAt);
          }),
        );
      }
      const note = `another call meanwhile: worst ${formatMs(Math.max(...worst))}, median of worst ${formatMs(median(worst))}; ${answer}`;
      printFigure(`submitting ${what}`, formatMs(median(took)), note);
    }
  } finally {
    other.close();
    await testbed.close();
  }

  /** The longest that a small call of another connection took while the work went on. */
  async function worstWhile(work: () => Promise<unknown>): Promise<number> {
    let worst = 0;
    let isOver = false;
    const asking = (async () => {
      while (!isOver) {
        const askedAt = performance.now();
        await other.broker.whoAmI({});
        worst = Math.max(worst, performance.now() - askedAt);
        await delay(probeIntervalMs);
      }
    })();
    await work();
    isOver = true;
    await asking;
    return worst;
  }
}
