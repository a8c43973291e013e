// time limit: 15 min
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseAllDocuments } from 'yaml';
import type { KubeObject } from '../agent/object/kube-object.ts';
import type { Chart } from '../charts/write.ts';
import { needs } from '../test/runner/needs.ts';
import { openHelm } from '../test/tools/helm.ts';
import { readPages } from './pages.ts';

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
if (needs('go')) await describe();
charts('are shown on the page, one for each program', () => {
  for (const name of ['brokkr-broker', 'brokkr-agent']) assert.ok(shown.has(name), name);
});
charts.run();

async function describe(): Promise<void> {
  const helm = await openHelm();

  /** Renders a chart with the peers of the page's policy; the ports come from the chart. */
  const rendered = (name: string, chart: Chart, values: object): Policy | undefined => {
    const objects = helm.render(chart, values, name);
    return objects.find(({ kind }) => kind === 'NetworkPolicy') as Policy | undefined;
  };

  charts('equal the page’s policy for the broker', () => {
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

  charts('equal the page’s policy for the agent', () => {
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
