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

/** A stack of 1,000 objects: from submit to applied when all are new, when nothing differs and when one field does; and the agent's memory. */
export async function benchAgent(): Promise<void> {
  const simulated = await startSimulatedCluster({ pods: false });
  try {
    await measure('simulated cluster', simulated.kubeconfig);
  } finally {
    await simulated.stop();
  }
  if (!goPresent()) {
    printFigure('real API server', 'left out', 'there is no Go to build it with');
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

async function measure(where: string, kubeconfig: string): Promise<void> {
  const testbed = await startTestbed();
  const agent = await startAgentProcess(testbed, kubeconfig);
  try {
    const cold: number[] = [];
    const same: number[] = [];
    const changed: number[] = [];
    const memory: number[] = [];
    const cpuBefore = cpuSeconds(agent.pid);
    for (let round = 0; round < rounds; round += 1) {
      const name = `bench-${round}`;
      await testbed.admin.broker.createStack({ name, labels: ['bench'] });
      const submit = (version: number) => submitAndWait(testbed, name, manifestOf(version), 1);
      cold.push(...(await submit(0)));
      same.push(...(await submit(0)));
      changed.push(...(await submit(1)));
      memory.push(rssMb(agent.pid));
      await remove(testbed, name);
    }
    const cpu = (cpuSeconds(agent.pid) - cpuBefore) / rounds;
    const note = `${rounds} rounds, from the call of SubmitDeployment`;
    printFigure(`${objectCount} new objects, ${where}`, formatPercentiles(cold), note);
    printFigure('  the same again', formatPercentiles(same), 'no object is written');
    printFigure('  one field of one object changed', formatPercentiles(changed), 'one object is written');
    printFigure(
      '  the agent',
      `RSS ${Math.round(Math.max(...memory))} MB`,
      `${cpu.toFixed(1)} s of CPU a round, with the removal`,
    );
  } finally {
    await agent.close();
    await testbed.close();
  }
}

/** ConfigMaps of about 1 KB, and some Services; `version` is in one field of one of them. */
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
  // So many deletions at once wait for somebody who means it.
  const deadline = Date.now() + removalTimeoutMs;
  let confirmed = false;
  while (true) {
    const [placement] = (await broker.listPlacements({ agent: 'bench' })).placements;
    if (!placement) return;
    if (Date.now() > deadline) throw new Error(`${stack} was not removed in time: ${placement.message}`);
    if (!confirmed && /wait for a confirmation/.test(placement.message)) {
      await admin.confirmRemoval({ stack, agent: 'bench', generation: placement.generation });
      confirmed = true;
    }
    await new Promise((settle) => setTimeout(settle, 100));
  }
}

/** An agent in a process of its own, with the flags that `npm run agent` gives it. */
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
