import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { PlacementPhase } from '../gen/brokkr/v1/placement_pb.ts';
import { figure, spread } from './figures.ts';
import { cpuSeconds, rssMb, type Stand, startStand } from './testbed.ts';

const submissions = 20;
const settleMs = 120_000;
const idleMs = 10_000;

/** Submit to applied (the event is committed and a watcher was told), with 1 and with 100 agents, and what an idle fleet costs. */
export async function benchRollout(): Promise<void> {
  for (const agents of [1, 100]) await rollout(agents);
}

async function rollout(agents: number): Promise<void> {
  const stand = await startStand();
  const fleet = await startFleetProcess(stand, agents);
  try {
    const { stack } = await stand.admin.broker.createStack({ name: 'bench', labels: ['bench'] });
    const name = stack?.id ?? '';
    await submitAndWait(stand, name, manifestOf(0), agents);
    const each: number[] = [];
    const last: number[] = [];
    for (let version = 1; version <= submissions; version += 1) {
      const times = await submitAndWait(stand, name, manifestOf(version), agents);
      each.push(...times);
      last.push(Math.max(...times));
    }
    const plural = agents === 1 ? '1 agent' : `${agents} agents`;
    figure(
      `submit to applied, ${plural}`,
      spread(each),
      `every agent of ${submissions} submissions; the last agent: ${spread(last)}`,
    );
    const before = [stand.brokerCpuSeconds(), cpuSeconds(fleet.pid)] as const;
    await new Promise((settle) => setTimeout(settle, idleMs));
    const share = (after: number, earlier: number) => (((after - earlier) * 1000) / idleMs) * 100;
    figure(
      `idle for ${idleMs / 1000} s, ${plural}`,
      `${share(stand.brokerCpuSeconds(), before[0]).toFixed(1)} % of a core`,
      `broker; RSS ${Math.round(stand.brokerRssMb())} MB`,
    );
    figure(
      `  the agents' process`,
      `${share(cpuSeconds(fleet.pid), before[1]).toFixed(1)} % of a core`,
      `${plural}, each with a simulated cluster; RSS ${Math.round(rssMb(fleet.pid))} MB`,
    );
  } finally {
    await fleet.close();
    await stand.close();
  }
}

/** Submits, and answers how long each agent took until its event was there for a watcher, in milliseconds. */
export async function submitAndWait(stand: Stand, stack: string, text: string, agents: number): Promise<number[]> {
  const manifest = Buffer.from(text);
  const controller = new AbortController();
  const watch = stand.admin.broker.watchStack({ stack }, { signal: controller.signal });
  const times = new Map<string, number>();
  const startedAt = performance.now();
  const answer = stand.admin.broker.submitDeployment({ stack, manifest });
  const timer = setTimeout(() => controller.abort(new Error(`not applied everywhere after ${settleMs} ms`)), settleMs);
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
async function startFleetProcess(stand: Stand, count: number): Promise<FleetProcess> {
  const dataDir = mkdtempSync(join(tmpdir(), 'brokkr-fleet-'));
  const child = spawn(process.execPath, [resolve(import.meta.dirname, 'fleet-process.ts'), String(count), dataDir], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, BROKKR_SERVER: stand.url, BROKKR_PAK: stand.adminPak },
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
    const stand = await startStand();
    starts.push(stand.brokerStartMs);
    if (round === 2) figure('broker RSS after the start', `${Math.round(stand.brokerRssMb())} MB`);
    await stand.close();
  }
  figure('broker process to ready, empty database', spread(starts), '3 starts, migrations included');
  const helps: number[] = [];
  for (let round = 0; round < 10; round += 1) {
    const startedAt = performance.now();
    execFileSync(process.execPath, [resolve(import.meta.dirname, '../cli/main.ts'), '--help'], { stdio: 'ignore' });
    helps.push(performance.now() - startedAt);
  }
  figure('brokkr --help', spread(helps), '10 runs, whole process');
}
