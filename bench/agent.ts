import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { goPresent, startKube } from '../sandbox/apiserver/apiserver.ts';
import { startSimulatedCluster } from '../sandbox/cluster/cluster.ts';
import { formatPercentiles, printFigure } from './figures.ts';
import { submitAndWait } from './rollout.ts';
import { cpuSeconds, rssMb, startTestbed, type Testbed } from './testbed.ts';

const objectCount = 1_000;
const rounds = 3;
const removalTimeoutMs = 300_000;

/**
 * Measures a stack of 1,000 objects from submission to applied, when all objects are new, when none differs and when one field differs.
 * Also measures the memory of the agent.
 */
export async function benchAgent(): Promise<void> {
  const simulatedCluster = await startSimulatedCluster({ pods: false });
  try {
    await measure('simulated cluster', simulatedCluster.kubeconfig);
  } finally {
    await simulatedCluster.stop();
  }
  if (!goPresent()) {
    printFigure('real API server', 'skipped', 'Go is not installed');
    return;
  }
  const dataDir = mkdtempSync(join(tmpdir(), 'brokkr-bench-kube-'));
  const kube = await startKube({ dataDir });
  try {
    await measure('real API server', kube.kubeconfigFor(kube.token));
  } finally {
    await kube.stop();
    rmSync(dataDir, { recursive: true, force: true });
  }
}

async function measure(clusterName: string, kubeconfig: string): Promise<void> {
  const testbed = await startTestbed();
  const agent = await startAgentProcess(testbed, kubeconfig);
  try {
    const newMs: number[] = [];
    const unchangedMs: number[] = [];
    const changedMs: number[] = [];
    const memoryMb: number[] = [];
    const cpuBefore = cpuSeconds(agent.pid);
    for (let round = 0; round < rounds; round += 1) {
      const name = `bench-${round}`;
      await testbed.admin.broker.createStack({ name, labels: ['bench'] });
      const submit = (version: number) => submitAndWait(testbed, name, manifestOf(version), 1);
      newMs.push(...(await submit(0)));
      unchangedMs.push(...(await submit(0)));
      changedMs.push(...(await submit(1)));
      memoryMb.push(rssMb(agent.pid));
      await remove(testbed, name);
    }
    const cpu = (cpuSeconds(agent.pid) - cpuBefore) / rounds;
    const note = `${rounds} rounds, from the SubmitDeployment call`;
    printFigure(`${objectCount} new objects, ${clusterName}`, formatPercentiles(newMs), note);
    printFigure('  unchanged', formatPercentiles(unchangedMs), 'no object is written');
    printFigure('  one field of one object changed', formatPercentiles(changedMs), 'one object is written');
    printFigure(
      '  the agent',
      `RSS ${Math.round(Math.max(...memoryMb))} MB`,
      `${cpu.toFixed(1)} s of CPU per round, including the removal`,
    );
  } finally {
    await agent.close();
    await testbed.close();
  }
}

/** Builds ConfigMaps of about 1 KB and some Services; `version` is a field of one ConfigMap. */
function manifestOf(version: number): string {
  const text = 'x'.repeat(1_000);
  const documents = Array.from({ length: objectCount }, (_, index) => {
    const metadata = { name: `bench-${index}`, namespace: 'default' };
    if (index % 10 === 9)
      return { apiVersion: 'v1', kind: 'Service', metadata, spec: { clusterIP: 'None', ports: [{ port: 80 }] } };
    return {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata,
      data: { text, version: index === 0 ? String(version) : '0' },
    };
  });
  return documents.map((document) => JSON.stringify(document)).join('\n---\n');
}

async function remove(testbed: Testbed, stack: string): Promise<void> {
  const { broker, admin } = testbed.admin;
  await broker.deleteStack({ stack });
  // Deleting this many objects at once needs a confirmation.
  const deadline = Date.now() + removalTimeoutMs;
  let isConfirmed = false;
  while (true) {
    const [placement] = (await broker.listPlacements({ agent: 'bench' })).placements;
    if (!placement) return;
    if (Date.now() > deadline) throw new Error(`${stack} was not removed in time: ${placement.message}`);
    if (!isConfirmed && /wait for a confirmation/.test(placement.message)) {
      await admin.confirmRemoval({ stack, agent: 'bench', generation: placement.generation });
      isConfirmed = true;
    }
    await new Promise((settle) => setTimeout(settle, 100));
  }
}

/** Starts an agent in its own process, with the flags of `npm run agent`. */
async function startAgentProcess(testbed: Testbed, kubeconfig: string) {
  const folder = mkdtempSync(join(tmpdir(), 'brokkr-bench-agent-'));
  const kubeconfigFile = join(folder, 'kubeconfig');
  writeFileSync(kubeconfigFile, kubeconfig, { mode: 0o600 });
  const { pak } = await testbed.admin.admin.createAgent({ name: 'bench', labels: ['bench'] });
  const main = resolve(import.meta.dirname, '../agent/main.ts');
  const child = spawn(process.execPath, ['--max-semi-space-size=2', main], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: {
      PATH: process.env.PATH,
      BROKKR_BROKER_URL: testbed.url,
      BROKKR_PAK: pak,
      KUBECONFIG: kubeconfigFile,
      BROKKR_HEALTH_LISTEN: '127.0.0.1:0',
    },
  });
  return {
    pid: child.pid as number,
    async close() {
      if (child.exitCode === null) {
        child.kill('SIGTERM');
        await once(child, 'exit');
      }
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
