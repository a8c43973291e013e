import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { PlacementPhase } from '../../gen/brokkr/v1/placement_pb.ts';
import { startSimulatedCluster } from '../../sandbox/cluster/cluster.ts';
import { configMap } from '../agent/test-agent.ts';
import { openEnvironment, type TestEnvironment, until } from '../agent/test-environment.ts';

/** As in `npm run agent`: a small young generation keeps an agent with 1,000 objects below 150 MiB. */
const asNpmDoes = ['--max-semi-space-size=2'];
const folder = mkdtempSync(join(tmpdir(), 'brokkr-cold-'));
const environment = await openEnvironment();
const cold = suite('a cold agent');
cold.after(async () => {
  await environment.close();
  rmSync(folder, { recursive: true, force: true });
});

cold('applies 200 stacks with 60 MiB of manifests', async () => {
  const part = 'x'.repeat(100 << 10);
  await submitMany(environment, 'large', 200, (index) =>
    [0, 1, 2].map((n) => configMap(`large-${index}-${n}`, { part, index: String(index) })),
  );
  await applyAll('large', 200, 600);
});

cold('applies 1,000 stacks', async () => {
  await submitMany(environment, 'small', 1_000, (index) => [configMap(`small-${index}`, { index: String(index) })]);
  await applyAll('small', 1_000, 1_000);
});

cold('applies 1,000 objects', async () => {
  const objects = (index: number) =>
    Array.from({ length: 100 }, (_, n) => configMap(`many-${index}-${n}`, { text: 'x'.repeat(2_000) }));
  await submitMany(environment, 'many', 10, objects);
  await applyAll('many', 10, 1_000);
});

cold.run();

async function submitMany(
  { admin }: TestEnvironment,
  prefix: string,
  count: number,
  objects: (index: number) => object[],
): Promise<void> {
  const indexes = Array.from({ length: count }, (_, index) => index).values();
  const work = async () => {
    for (const index of indexes) {
      const stack = `${prefix}-${index}`;
      await admin.broker.createStack({ name: stack, labels: [prefix] });
      const text = objects(index).map((object) => JSON.stringify(object));
      await admin.broker.submitDeployment({ stack, manifest: Buffer.from(text.join('\n---\n')) });
    }
  };
  await Promise.all([work(), work(), work(), work()]);
}

/** Starts an agent as a process, waits until everything is applied, and prints the time and memory that it took. */
async function applyAll(name: string, stacks: number, objects: number): Promise<void> {
  const cluster = await startSimulatedCluster({ pods: false });
  const kubeconfig = join(folder, `${name}.kubeconfig`);
  writeFileSync(kubeconfig, cluster.kubeconfig, { mode: 0o600 });
  const pak = await environment.createAgent(name);
  const startedAt = Date.now();
  const agent = spawn(process.execPath, [...asNpmDoes, resolve(import.meta.dirname, '../../agent/main.ts')], {
    env: {
      PATH: process.env.PATH,
      BROKKR_BROKER_URL: environment.broker.url,
      BROKKR_PAK: pak,
      KUBECONFIG: kubeconfig,
      BROKKR_HEALTH_LISTEN: '127.0.0.1:0',
      BROKKR_LOG_LEVEL: 'warn',
    },
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  try {
    const applied = async () =>
      (await environment.admin.admin.getAgent({ agent: name })).agent?.placements?.applied ?? 0;
    await until(
      async () => (await applied()) === stacks,
      () => 'all stacks to be applied',
      300_000,
    );
    const seconds = ((Date.now() - startedAt) / 1000).toFixed(1);
    process.stdout.write(`${stacks} stacks applied in ${seconds} s, agent memory ${memoryOf(agent)}\n`);
    const found = cluster
      .objects()
      .filter(({ kind, metadata }) => kind === 'ConfigMap' && metadata.name.startsWith(`${name}-`));
    assert.is(found.length, objects);
    const { placements } = await environment.admin.broker.listPlacements({ agent: name, phase: PlacementPhase.FAILED });
    assert.equal(placements, []);
  } finally {
    agent.kill('SIGTERM');
    const [code] = (await once(agent, 'exit')) as [number];
    assert.is(code, 0);
    await cluster.stop();
  }
}

function memoryOf({ pid }: ChildProcess): string {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    const mib = (field: string) => Math.round(Number(new RegExp(`${field}:\\s+(\\d+)`).exec(status)?.[1]) / 1024);
    return `${mib('VmRSS')} MiB now, ${mib('VmHWM')} MiB at most`;
  } catch {
    return 'unknown';
  }
}
