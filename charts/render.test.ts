// time limit: 15 min
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Certificate } from '@kubernetes-models/cert-manager/cert-manager.io/v1';
import { GRPCRoute, HTTPRoute } from '@kubernetes-models/gateway-api/gateway.networking.k8s.io/v1';
import {
  PodMonitor,
  PrometheusRule,
  ServiceMonitor,
} from '@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { readConfig as readAgentConfig } from '../agent/config.ts';
import { pathOf } from '../agent/kube/discovery.ts';
import { at, idOf, isRecord, type KubeObject, listAt, nameOf, textAt } from '../agent/object/kube-object.ts';
import { readConfig as readBrokerConfig } from '../broker/config.ts';
import { clusterRules, namespaceRules, type PolicyRule } from '../cli/install/agent-rbac.ts';
import { startKube } from '../sandbox/apiserver/apiserver.ts';
import { requestKube } from '../sandbox/apiserver/client.ts';
import { connect } from '../test/agent/test-agent.ts';
import { needs } from '../test/runner/needs.ts';
import { openHelm } from '../test/tools/helm.ts';
import { installation, optionsOf } from './options.ts';
import { charts } from './write.ts';

/** Kinds that the charts know and the API server does not: their validators come from the projects' own definitions. */
const models = { Certificate, GRPCRoute, HTTPRoute, PodMonitor, PrometheusRule, ServiceMonitor } as const;

/** Validators let unknown fields pass, and a typing error would be one: all that the charts set, at any depth. */
const customFields: Readonly<Record<keyof typeof models, string>> = {
  Certificate: `secretName duration renewBefore privateKey algorithm size rotationPolicy usages dnsNames
    issuerRef name kind group`,
  GRPCRoute: 'parentRefs name namespace sectionName hostnames rules backendRefs port',
  HTTPRoute: 'parentRefs name namespace sectionName hostnames rules backendRefs port timeouts request',
  PodMonitor: 'selector matchLabels podMetricsEndpoints port interval',
  PrometheusRule: 'groups name rules alert expr for labels severity annotations summary description runbook_url',
  ServiceMonitor: 'selector matchLabels endpoints port interval',
};

const readEnvironment = { broker: readBrokerConfig, agent: readAgentConfig } as const;

/** What the Secrets hold that an installation names. */
const secrets: Readonly<Record<string, string>> = {
  BROKKR_DATABASE_URL: 'postgres://brokkr@database/brokkr',
  BROKKR_ENCRYPTION_KEY: randomBytes(32).toString('base64'),
  BROKKR_PAK: 'brokkr_agA_B',
  BROKKR_ENROLLMENT_TOKEN: 'brokkr_enA_B',
};

/** The standard that namespaces can hold their pods to. */
const restricted = { 'pod-security.kubernetes.io/enforce': 'restricted' };

const rendered = suite('rendered charts');
if (needs('go')) await describe();
rendered.run();

async function describe(): Promise<void> {
  const helm = await openHelm();
  const dataDir = mkdtempSync(join(tmpdir(), 'brokkr-charts-'));
  const kube = await startKube({ dataDir });
  const cluster = connect({ file: kube.kubeconfig });
  const { signal } = new AbortController();
  rendered.after(async () => {
    cluster.close();
    await kube.stop();
    rmSync(dataDir, { recursive: true, force: true });
  });
  for (const name of ['brokkr', 'team'])
    await cluster.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels: restricted } }, signal);

  /** Why the API server would not take an object, or warns of it; empty when all is well. */
  const refusal = async (object: KubeObject): Promise<string> => {
    const resource = await cluster.discovery.find(object.apiVersion, object.kind, signal);
    assert.ok(resource, `the cluster serves no ${object.kind} of ${object.apiVersion}`);
    const place = resource.namespaced ? `/namespaces/${object.metadata.namespace}` : '';
    const path = `${pathOf(object.apiVersion)}${place}/${resource.plural}?dryRun=All&fieldValidation=Strict`;
    const { status, body } = await requestKube(kube, { method: 'POST', path, body: object });
    return status === 201 ? '' : `${nameOf(idOf(object))}: ${textAt(body, 'message')}`;
  };
  const customRefusal = (object: KubeObject, kind: keyof typeof models): string => {
    const known = customFields[kind].split(/\s+/);
    const unknown = fieldsOf(object.spec).filter((field) => !known.includes(field));
    try {
      // Each takes what its own kind looks like, which is what is to be found out.
      new models[kind](object as never).validate();
      return unknown.length === 0 ? '' : `${kind}: unknown fields ${unknown.join(', ')}`;
    } catch (error) {
      return `${kind}: ${error instanceof Error ? error.message : String(error)}`;
    }
  };
  const isModelled = (kind: string): kind is keyof typeof models => kind in models;

  rendered('agent: it has the rights of one that brokkr install agent has registered', () => {
    const objects = helm.render('agent', installation('agent', {}));
    const rulesOf = (wanted: string) =>
      objects.filter(({ kind }) => kind === wanted).flatMap((object) => listAt(object, 'rules') as PolicyRule[]);
    const keySecret = 'lab-brokkr-agent-key';
    assert.equal(rightsIn(rulesOf('Role')), rightsIn(namespaceRules('brokkr', keySecret)));
    // That of kube-system alone is in the right to all namespaces.
    const inCluster = rulesOf('ClusterRole').filter(({ resourceNames }) => resourceNames === undefined);
    assert.equal(rightsIn(inCluster), rightsIn(clusterRules));
  });

  for (const chart of charts) {
    for (const [name, option] of Object.entries(optionsOf(chart))) {
      rendered(`${chart}, ${name}: Helm finds no fault, the program can start, and a cluster takes it`, async () => {
        const values = installation(chart, option);
        assert.match(helm.lint(chart, values), '0 chart(s) failed');
        const objects = helm.render(chart, values);
        const names = objects.map((object) => nameOf(idOf(object)));
        assert.equal(names.toSorted(), [...new Set(names)].toSorted(), 'an object is there twice');
        // Throws a line for each variable that is wrong.
        readEnvironment[chart](environmentOf(objects));
        for (const object of objects)
          assert.is(isModelled(object.kind) ? customRefusal(object, object.kind) : await refusal(object), '');
      });
    }

    rendered(`${chart}: its pods are as the strictest standard for pods wants them`, async () => {
      const deployment = helm.render(chart, installation(chart, {})).find(({ kind }) => kind === 'Deployment');
      assert.ok(deployment);
      const { metadata, spec } = (deployment.spec as { template: Pick<KubeObject, 'metadata' | 'spec'> }).template;
      const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { ...metadata, name: 'pod', namespace: 'brokkr' }, spec };
      const serviceAccountName = 'default';
      const asked = { ...pod, spec: { ...(spec as object), serviceAccountName } };
      assert.is(await refusal(asked), '');
      const rooted = { ...asked, spec: { ...asked.spec, securityContext: { runAsUser: 0 } } };
      assert.match(await refusal(rooted), 'violates PodSecurity "restricted:latest"');
    });

    rendered(`${chart}: what it does not know is refused, and what it needs is asked for`, () => {
      assert.throws(() => helm.render(chart, installation(chart, { replica: 2 })), /additional properties 'replica'/);
      assert.throws(() => helm.render(chart, installation(chart, { replicas: 'two' })), /replicas.*want integer/);
      assert.throws(() => helm.render(chart, {}), /(database.existingSecret|enrollment.token|broker.url): /);
    });
  }
}

/** Every right that rules give, once, in some order that is always the same. */
function rightsIn(rules: readonly PolicyRule[]): string[] {
  const rights = rules.flatMap(({ apiGroups, resources, resourceNames = [], verbs }) =>
    apiGroups.flatMap((group) =>
      resources.flatMap((resource) => verbs.map((verb) => `${verb} ${group}/${resource} ${resourceNames.join()}`)),
    ),
  );
  return [...new Set(rights)].sort();
}

/** Of the container in the Deployment. */
function environmentOf(objects: readonly KubeObject[]): Record<string, string> {
  const deployment = objects.find(({ kind }) => kind === 'Deployment');
  const [container] = listAt(deployment, 'spec', 'template', 'spec', 'containers');
  return Object.fromEntries(
    listAt(container, 'env').map((variable) => {
      const name = textAt(variable, 'name') ?? '';
      const fromSecret = at(variable, 'valueFrom', 'secretKeyRef') === undefined ? 'brokkr' : (secrets[name] ?? '');
      return [name, textAt(variable, 'value') ?? fromSecret];
    }),
  );
}

/** The names of all fields at any depth, but for labels. */
function fieldsOf(value: unknown): string[] {
  if (Array.isArray(value)) return value.flatMap(fieldsOf);
  if (!isRecord(value)) return [];
  return Object.entries(value).flatMap(([name, inner]) => [name, ...(name === 'matchLabels' ? [] : fieldsOf(inner))]);
}
