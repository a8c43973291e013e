import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { PlacementPhase } from '../gen/brokkr/v1/placement_pb.ts';
import { formatPercentiles, printFigure } from './figures.ts';
import { cpuSeconds, rssMb, startTestbed, type Testbed } from './testbed.ts';

const submissions = 20;
const rolloutTimeoutMs = 120_000;
const idleDurationMs = 10_000;

/** Submit to applied (the event is committed and a watcher was told), with 1 and with 100 agents, and what an idle fleet costs. */
export async function benchRollout(): Promise<void> {
  for (const agents of [1, 100]) await measureRollout(agents);
}

async function measureRollout(agents: number): Promise<void> {
  const testbed = await startTestbed();
  const fleet = await startFleetProcess(testbed, agents);
  try {
    const { stack } = await testbed.admin.broker.createStack({ name: 'bench', labels: ['bench'] });
    const name = stack?.id ?? '';
    await submitAndWait(testbed, name, manifestOf(0), agents);
    const each: number[] = [];
    const last: number[] = [];
    for (let version = 1; version <= submissions; version += 1) {
      const times = await submitAndWait(testbed, name, manifestOf(version), agents);
      each.push(...times);
      last.push(Math.max(...times));
    }
    const plural = agents === 1 ? '1 agent' : `${agents} agents`;
    printFigure(
      `submit to applied, ${plural}`,
      formatPercentiles(each),
      `every agent of ${submissions} submissions; the last agent: ${formatPercentiles(last)}`,
    );
    const before = [testbed.brokerCpuSeconds(), cpuSeconds(fleet.pid)] as const;
    await new Promise((settle) => setTimeout(settle, idleDurationMs));
    const share = (after: number, earlier: number) => (((after - earlier) * 1000) / idleDurationMs) * 100;
    printFigure(
      `idle for ${idleDurationMs / 1000} s, ${plural}`,
      `${share(testbed.brokerCpuSeconds(), before[0]).toFixed(1)} % of a core`,
      `broker; RSS ${Math.round(testbed.brokerRssMb())} MB`,
    );
    printFigure(
      `  the agents' process`,
      `${share(cpuSeconds(fleet.pid), before[1]).toFixed(1)} % of a core`,
      `${plural}, each with a simulated cluster; RSS ${Math.round(rssMb(fleet.pid))} MB`,
    );
  } finally {
    await fleet.close();
    await testbed.close();
  }
}

/** Submits, and answers how long each agent took until its event was there for a watcher, in milliseconds. */
export async function submitAndWait(testbed: Testbed, stack: string, text: string, agents: number): Promise<number[]> {
  const manifest = Buffer.from(text);
  const controller = new AbortController();
  const watch = testbed.admin.broker.watchStack({ stack }, { signal: controller.signal });
  const times = new Map<string, number>();
  const startedAt = performance.now();
  const answer = testbed.admin.broker.submitDeployment({ stack, manifest });
  const timer = setTimeout(
    () => controller.abort(new Error(`not applied everywhere after ${rolloutTimeoutMs} ms`)),
    rolloutTimeoutMs,
  );
  try {
    const id = (await answer).deployment?.id;
    for await (const { placements } of watch) {
      for (const placement of placements) {
        if (placement.phase !== PlacementPhase.APPLIED || placement.reportedDeploymentId !== id) continue;
        if (!times.has(placement.agentId)) times.set(placement.agentId, performance.now() - startedAt);
      }
      if (times.size === agents) break;
    }
    return [...times.values()];
  } finally {
    clearTimeout(timer);
    controller.abort();
  }
}

function manifestOf(version: number): string {
  return `apiVersion: v1\nkind: ConfigMap\nmetadata: { name: bench }\ndata: { version: "${version}" }\n`;
}

interface FleetProcess {
  readonly pid: number;
  close(): Promise<void>;
}

/** Agents in a process of their own, so that their CPU is not the broker's or the bench's. */
async function startFleetProcess(testbed: Testbed, count: number): Promise<FleetProcess> {
  const dataDir = mkdtempSync(join(tmpdir(), 'brokkr-fleet-'));
  const child = spawn(process.execPath, [resolve(import.meta.dirname, 'fleet-process.ts'), String(count), dataDir], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, BROKKR_SERVER: testbed.url, BROKKR_PAK: testbed.adminPak },
  });
  const lines = createInterface({ input: child.stdout });
  await once(lines, 'line');
  return {
    pid: child.pid as number,
    async close() {
      child.stdin.end();
      if (child.exitCode === null) await once(child, 'exit');
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}

/** How long a broker takes to be ready, and the CLI to say how it is used. */
export async function benchStart(): Promise<void> {
  const starts: number[] = [];
  for (let round = 0; round < 3; round += 1) {
    const testbed = await startTestbed();
    starts.push(testbed.brokerStartMs);
    if (round === 2) printFigure('broker RSS after the start', `${Math.round(testbed.brokerRssMb())} MB`);
    await testbed.close();
  }
  printFigure('broker process to ready, empty database', formatPercentiles(starts), '3 starts, migrations included');
  const helps: number[] = [];
  for (let round = 0; round < 10; round += 1) {
    const startedAt = performance.now();
    execFileSync(process.execPath, [resolve(import.meta.dirname, '../cli/main.ts'), '--help'], { stdio: 'ignore' });
    helps.push(performance.now() - startedAt);
  }
  printFigure('brokkr --help', formatPercentiles(helps), '10 runs, whole process');
}
