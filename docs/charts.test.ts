import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseAllDocuments } from 'yaml';
import type { KubeObject } from '../agent/object/kube-object.ts';
import { needs } from '../test/runner/needs.ts';
import { readPages } from './pages.ts';

const root = resolve(import.meta.dirname, '..');

/** What is used of `test/tools/helm.ts`, which comes with the charts. */
interface HelmModule {
  openHelm(): Promise<{ render(chart: string, values: object, release: string): KubeObject[] }>;
}

interface Rule {
  readonly from?: readonly object[];
  readonly to?: readonly object[];
  readonly ports: readonly { readonly port: number }[];
}

interface Policy extends KubeObject {
  readonly spec: { readonly ingress: readonly Rule[]; readonly egress: readonly Rule[] };
}

const text = readPages().get('explanation/network-flows.md');
const shown = new Map(
  (text?.blocks ?? [])
    .filter(({ language }) => language === 'yaml')
    .flatMap((block) => parseAllDocuments(block.text).map((document) => document.toJS() as Policy))
    .map((policy) => [policy.metadata.name, policy]),
);

const charts = suite('network policies of the charts');
if (existsSync(join(root, 'charts/broker/Chart.yaml')) && needs('go')) await describe();
charts('are shown by the page, one for each program', () => {
  for (const name of ['brokkr-broker', 'brokkr-agent']) assert.ok(shown.has(name), name);
});
charts.run();

async function describe(): Promise<void> {
  // Its name is put together, so that there may be no such file.
  const { openHelm } = (await import(join(root, 'test', 'helm.ts'))) as HelmModule;
  const helm = await openHelm();

  /** Renders with the peers that the page's policy has; the ports are the chart's own. */
  const rendered = (name: string, chart: string, values: object): Policy | undefined => {
    const objects = helm.render(chart, values, name);
    return objects.find(({ kind }) => kind === 'NetworkPolicy') as Policy | undefined;
  };

  charts('are those that the page shows for the broker', () => {
    const policy = shown.get('brokkr-broker');
    const [rpc, metrics] = policy?.spec.ingress ?? [];
    const [dns, database] = policy?.spec.egress ?? [];
    const networkPolicy = {
      enabled: true,
      rpcFrom: rpc?.from,
      metricsFrom: metrics?.from,
      dnsTo: dns?.to,
      databaseTo: database?.to,
    };
    const values = { database: { existingSecret: 'database' }, networkPolicy };
    assert.equal(rendered('brokkr-broker', 'broker', values)?.spec, policy?.spec);
  });

  charts('are those that the page shows for the agent', () => {
    const policy = shown.get('brokkr-agent');
    const [metrics] = policy?.spec.ingress ?? [];
    const [dns, broker, kubernetes] = policy?.spec.egress ?? [];
    const networkPolicy = {
      enabled: true,
      metricsFrom: metrics?.from,
      dnsTo: dns?.to,
      brokerTo: broker?.to,
      brokerPorts: broker?.ports.map(({ port }) => port),
      kubernetesTo: kubernetes?.to,
    };
    const values = {
      broker: { url: 'https://broker.example.org' },
      pak: { existingSecret: 'brokkr-agent' },
      networkPolicy,
    };
    assert.equal(rendered('brokkr-agent', 'agent', values)?.spec, policy?.spec);
  });
}
