import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseAllDocuments } from 'yaml';
import { readConfig as readAgentConfig } from '../agent/config.ts';
import { variables as brokerVariables, readConfig as readBrokerConfig } from '../broker/config.ts';
import { readSources } from '../test/layout/sources.ts';
import { readPages } from './pages.ts';
import { tableBelow } from './tables.ts';

const root = resolve(import.meta.dirname, '..');
const page = readPages().get('explanation/network-flows.md');
assert.ok(page);
const rows = tableBelow(page.text, '## All connections');

const broker = readBrokerConfig({ BROKKR_DATABASE_URL: 'postgres://localhost/brokkr' });
const agent = readAgentConfig({
  BROKKR_BROKER_URL: 'https://localhost',
  BROKKR_PAK: 'brokkr_agA_B',
  KUBERNETES_SERVICE_HOST: '10.0.0.1',
});
const ports = {
  api: broker.listen.port,
  metrics: broker.metricsListen.port,
  database: Number(/:(\d+)\//.exec(brokerVariables.BROKKR_DATABASE_URL)?.[1]),
  health: agent.healthListen.port,
  kubernetesService: Number(/:(\d+)$/.exec(agent.kubeService ?? '')?.[1]),
  /** These ports are set by Kubernetes, OpenTelemetry and receivers, not by this code. */
  kubernetes: 6443,
  otlp: 4317,
  https: 443,
  dns: 53,
} as const;

/** Every connection: source, destination and port. */
const connections: readonly (readonly [source: string, destination: string, port: number])[] = [
  ['Agent', 'Broker', ports.api],
  ['brokkr CLI, CI jobs', 'Broker', ports.api],
  ['Browser', 'Broker', ports.api],
  ['kubelet', 'Broker', ports.api],
  ['Prometheus', 'Broker', ports.metrics],
  ['Broker', 'PostgreSQL', ports.database],
  ['Broker', 'Webhook receivers', ports.https],
  ['Broker, agent, brokkr CLI', 'OpenTelemetry collector', ports.otlp],
  ['Agent', 'Kubernetes API', ports.kubernetes],
  ['kubelet', 'Agent', ports.health],
  ['Prometheus', 'Agent', ports.health],
  ['Broker, agent', 'DNS', ports.dns],
];

/** The source files that open a connection or a port, with the connections of the table that they belong to. */
const openers: Readonly<Record<string, string>> = {
  'agent/kube/http.ts': 'Agent -> Kubernetes API',
  'agent/observability/http-server.ts': 'kubelet and Prometheus -> Agent',
  'broker/metrics.ts': 'Prometheus -> Broker',
  'broker/rpc/http/port.ts': 'everything -> Broker 3000',
  'broker/store/orm.ts': 'Broker -> PostgreSQL',
  'client/client.ts': 'Agent and CLI -> Broker',
  'client/otlp.ts': 'Broker, agent and CLI -> OpenTelemetry collector',
};

const opening =
  /\.listen\(|\b(httpRequest|httpsRequest)\b|\bfetch\(|\b(net|tls|http|https|http2)\.(connect|request|get)\(|new pg\.(Client|Pool)\(|MikroORM\.init\(|createGrpcTransport\(|new OTLP\w*Exporter\(/;

const flows = suite('network flows');

flows('are in a table with the columns that firewall rules need', () => {
  for (const row of rows)
    assert.equal(Object.keys(row), ['Source', 'Destination', 'Port', 'Protocol', 'Direction', 'Purpose']);
});

flows('list all connections, with the ports of the code', () => {
  assert.equal(
    rows.map(({ Source, Destination, Port }) => [Source, Destination, Number(Port)]),
    connections,
  );
  assert.is(ports.kubernetesService, ports.https, 'the page says 443 of the Service');
});

flows('are exactly the connections that the programs open', () => {
  const sources = new Map(readSources(root).map((source) => [source.path, source]));
  const seen = new Set<string>();
  const visit = (path: string) => {
    if (seen.has(path)) return;
    seen.add(path);
    for (const { target, typeOnly } of sources.get(path)?.imports ?? []) if (!typeOnly) visit(target);
  };
  // Workers and lazy imports are named by strings, so their files are added here.
  for (const main of ['broker/main.ts', 'broker/deployment/parse-worker.ts', 'agent/main.ts', 'cli/program.ts']) {
    assert.ok(sources.has(main), `${main} is not there`);
    visit(main);
  }
  const found = [...seen].filter((path) => opening.test(sources.get(path)?.text ?? '')).sort();
  assert.equal(found, Object.keys(openers), 'describe on the page, and here, what the file connects to');
});

flows('that do not exist yet are marked', () => {
  const webhooks = rows.find(({ Destination }) => Destination === 'Webhook receivers');
  assert.is(webhooks?.Purpose?.includes('comes later'), !existsSync(join(root, 'broker/webhook')));
});

flows('are drawn with every port of the table, with external and internal traffic separated', () => {
  const diagrams = page.blocks.filter(({ language }) => language === 'mermaid').map(({ text }) => text);
  assert.is(diagrams.length, 2);
  const drawn = diagrams.join('\n');
  for (const port of new Set(connections.map(([, , number]) => number)))
    assert.match(drawn, new RegExp(`\\|"[^"]*\\b${port}\\b`), `port ${port} is not in a diagram`);
  assert.match(drawn, 'External traffic');
  assert.match(drawn, 'Internal traffic');
});

interface Policy {
  readonly metadata: { readonly name: string };
  readonly spec: Readonly<Record<'ingress' | 'egress', readonly { ports: readonly { port: number }[] }[] | undefined>>;
}

flows('are allowed by the network policies of the page', () => {
  const policies = page.blocks
    .filter(({ language }) => language === 'yaml')
    .flatMap(({ text }) => parseAllDocuments(text).map((document) => document.toJS() as Policy));
  const allowed = (name: string, direction: 'ingress' | 'egress') =>
    policies
      .find(({ metadata }) => metadata.name === name)
      ?.spec[direction]?.flatMap((rule) => rule.ports.map(({ port }) => port));
  const { api, metrics, database, health, kubernetes, https, dns } = ports;
  assert.equal(allowed('brokkr-broker', 'ingress'), [api, metrics]);
  assert.equal(allowed('brokkr-broker', 'egress'), [dns, dns, database]);
  assert.equal(allowed('brokkr-agent', 'ingress'), [health]);
  assert.equal(allowed('brokkr-agent', 'egress'), [dns, dns, api, https, https, kubernetes]);
  assert.equal(allowed('brokkr-broker-webhooks', 'egress'), [https]);
});

flows.run();
