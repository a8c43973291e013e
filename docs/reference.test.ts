import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { limits } from '../broker/deployment/parse.ts';
import { startSimulatedCluster } from '../sandbox/cluster/cluster.ts';
import { startAgentFor } from '../sandbox/fleet.ts';
import { startTestBroker } from '../test/broker.ts';
import { generatedPages } from './generate/main.ts';
import { metricsOf } from './generate/metrics.ts';
import { contentFolder, readPages } from './pages.ts';

const reference = suite('reference');

reference('generated pages are up to date', async () => {
  for (const [path, text] of await generatedPages())
    assert.is(readFileSync(join(contentFolder, path), 'utf8') === text, true, `${path} is stale: npm run docs:gen`);
});

/** Returns the names of the metrics that a program exposes, without those of its process. */
async function metricNamesAt(url: string): Promise<string[]> {
  const text = await (await fetch(url, { signal: AbortSignal.timeout(30_000) })).text();
  const names = [...text.matchAll(/^# TYPE (\S+) /gm)].map(([, name = '']) => name);
  return names.filter((name) => !/^(process|nodejs)_/.test(name)).sort();
}

reference('lists the metrics that broker and agent expose', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'brokkr-reference-'));
  await using ending = new AsyncDisposableStack();
  ending.defer(() => rmSync(folder, { recursive: true, force: true }));
  const test = await startTestBroker();
  ending.defer(() => test.close());
  const simulated = await startSimulatedCluster({ pods: false });
  ending.defer(() => simulated.stop());
  const kubeconfigFile = join(folder, 'kubeconfig');
  writeFileSync(kubeconfigFile, simulated.kubeconfig, { mode: 0o600 });
  const { pak } = await test.client().admin.createAgent({ name: 'measured' });
  const log = pino({ level: 'silent' });
  const agent = await startAgentFor({ id: '', pak }, { brokerUrl: test.url, kubeconfigFile, stateDir: folder, log });
  ending.defer(() => agent.close());
  const [broker] = test.brokers;
  const documented = (program: 'broker' | 'agent') => metricsOf(program).map(({ name }) => name);
  assert.equal(await metricNamesAt(broker?.metricsUrl ?? ''), documented('broker').sort());
  assert.equal(await metricNamesAt(`${agent.healthUrl}/metrics`), documented('agent').sort());
});

reference('states the limits of the parser', () => {
  const text = readPages().get('reference/limits.md')?.text ?? '';
  assert.match(text, `| one object | ${limits.objectBytes >> 20} MiB |`);
  assert.match(text, `${limits.submissionBytes >> 20} MiB, ${limits.objects.toLocaleString('en')} objects`);
});

reference.run();
