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
import {
  displayName,
  isRecord,
  type KubeObject,
  listAt,
  objectIdOf,
  textAt,
  valueAt,
} from '../agent/object/kube-object.ts';
import { readConfig as readBrokerConfig } from '../broker/config.ts';
import { clusterRules, namespaceRules, type PolicyRule } from '../cli/install/agent-rbac.ts';
import { startKube } from '../sandbox/apiserver/apiserver.ts';
import { requestKube } from '../sandbox/apiserver/client.ts';
import { connect } from '../test/agent/test-agent.ts';
import { needs } from '../test/runner/needs.ts';
import { type Helm, openHelm } from '../test/tools/helm.ts';
import { installation, optionsOf } from './options.ts';
import { charts } from './write.ts';

/** Custom kinds in the charts, with validators that are generated from the definitions of their projects. */
const models = { Certificate, GRPCRoute, HTTPRoute, PodMonitor, PrometheusRule, ServiceMonitor } as const;

/** All fields that the charts set, at any depth. The validators accept unknown fields, so this list catches misspelled ones. */
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

/** Content of the Secrets that an installation refers to. */
const secrets: Readonly<Record<string, string>> = {
  BROKKR_DATABASE_URL: 'postgres://brokkr@database/brokkr',
  BROKKR_ENCRYPTION_KEY: randomBytes(32).toString('base64'),
  BROKKR_PAK: 'brokkr_agA_B',
  BROKKR_ENROLLMENT_TOKEN: 'brokkr_enA_B',
};

/** Labels of a namespace that enforces the restricted Pod Security Standard. */
const restricted = { 'pod-security.kubernetes.io/enforce': 'restricted' };

const rendered = suite('rendered charts');
if (needs('go')) await describe();
rendered.run();

async function describe(): Promise<void> {
  const helm = await openHelm();
  const dryRunError = await openDryRun();
  describePermissions(helm);
  for (const chart of charts) {
    for (const [name, option] of Object.entries(optionsOf(chart)))
      rendered(
        `${chart}, ${name}: Helm lints it, the program accepts its settings, and a cluster accepts it`,
        async () => {
          const values = installation(chart, option);
          assert.match(helm.lint(chart, values), '0 chart(s) failed');
          const objects = helm.render(chart, values);
          const names = objects.map((object) => displayName(objectIdOf(object)));
          assert.equal(names.toSorted(), [...new Set(names)].toSorted(), 'an object exists twice');
          // Throws with a line for each invalid variable.
          readEnvironment[chart](environmentOf(objects));
          for (const object of objects)
            assert.is(isModelled(object.kind) ? modelError(object, object.kind) : await dryRunError(object), '');
        },
      );

    rendered(`${chart}: its pods meet the restricted Pod Security Standard`, async () => {
      const deployment = helm.render(chart, installation(chart, {})).find(({ kind }) => kind === 'Deployment');
      assert.ok(deployment);
      const { metadata, spec } = (deployment.spec as { template: Pick<KubeObject, 'metadata' | 'spec'> }).template;
      const podMetadata = { ...metadata, name: 'pod', namespace: 'brokkr' };
      const podSpec = { ...(spec as object), serviceAccountName: 'default' };
      const pod = { apiVersion: 'v1', kind: 'Pod', metadata: podMetadata, spec: podSpec };
      assert.is(await dryRunError(pod), '');
      const rootPod = { ...pod, spec: { ...podSpec, securityContext: { runAsUser: 0 } } };
      assert.match(await dryRunError(rootPod), 'violates PodSecurity "restricted:latest"');
    });

    rendered(`${chart}: it rejects unknown values and asks for required ones`, () => {
      assert.throws(() => helm.render(chart, installation(chart, { replica: 2 })), /additional properties 'replica'/);
      assert.throws(() => helm.render(chart, installation(chart, { replicas: 'two' })), /replicas.*want integer/);
      assert.throws(() => helm.render(chart, {}), /(database.existingSecret|enrollment.token|broker.url): /);
    });
  }
}

function describePermissions(helm: Helm): void {
  rendered('agent: it has the same permissions as an agent from brokkr install agent', () => {
    const objects = helm.render('agent', installation('agent', {}));
    const rulesOf = (roleKind: string) =>
      objects.filter(({ kind }) => kind === roleKind).flatMap((object) => listAt(object, 'rules') as PolicyRule[]);
    const keySecret = 'lab-brokkr-agent-key';
    assert.equal(permissionsIn(rulesOf('Role')), permissionsIn(namespaceRules('brokkr', keySecret)));
    // The rule for the namespace kube-system alone is contained in the one for all namespaces.
    const clusterWide = rulesOf('ClusterRole').filter(({ resourceNames }) => resourceNames === undefined);
    assert.equal(permissionsIn(clusterWide), permissionsIn(clusterRules));
  });
}

/** Starts an API server. Returns a function that creates an object as a dry run and returns the error or warning; empty if it is valid. */
async function openDryRun(): Promise<(object: KubeObject) => Promise<string>> {
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
  return async (object) => {
    const resource = await cluster.discovery.find(object.apiVersion, object.kind, signal);
    assert.ok(resource, `the cluster serves no ${object.kind} of ${object.apiVersion}`);
    const namespacePath = resource.namespaced ? `/namespaces/${object.metadata.namespace}` : '';
    const query = 'dryRun=All&fieldValidation=Strict';
    const path = `${pathOf(object.apiVersion)}${namespacePath}/${resource.plural}?${query}`;
    const { status, body } = await requestKube(kube, { method: 'POST', path, body: object });
    return status === 201 ? '' : `${displayName(objectIdOf(object))}: ${textAt(body, 'message')}`;
  };
}

function isModelled(kind: string): kind is keyof typeof models {
  return kind in models;
}

/** Validates an object by the model of its kind and returns the error; empty if it is valid. */
function modelError(object: KubeObject, kind: keyof typeof models): string {
  const knownFields = customFields[kind].split(/\s+/);
  const unknownFields = fieldsOf(object.spec).filter((field) => !knownFields.includes(field));
  try {
    // The constructor's type expects a valid object, which is what the validation finds out.
    new models[kind](object as never).validate();
    return unknownFields.length === 0 ? '' : `${kind}: unknown fields ${unknownFields.join(', ')}`;
  } catch (error) {
    return `${kind}: ${error instanceof Error ? error.message : String(error)}`;
  }
}

/** Lists the permissions that rules grant, each once, sorted. */
function permissionsIn(rules: readonly PolicyRule[]): string[] {
  const permissions = rules.flatMap(({ apiGroups, resources, resourceNames = [], verbs }) =>
    apiGroups.flatMap((group) =>
      resources.flatMap((resource) => verbs.map((verb) => `${verb} ${group}/${resource} ${resourceNames.join()}`)),
    ),
  );
  return [...new Set(permissions)].sort();
}

/** Returns the environment of the Deployment's container. */
function environmentOf(objects: readonly KubeObject[]): Record<string, string> {
  const deployment = objects.find(({ kind }) => kind === 'Deployment');
  const [container] = listAt(deployment, 'spec', 'template', 'spec', 'containers');
  return Object.fromEntries(
    listAt(container, 'env').map((variable) => {
      const name = textAt(variable, 'name') ?? '';
      const fromSecret =
        valueAt(variable, 'valueFrom', 'secretKeyRef') === undefined ? 'brokkr' : (secrets[name] ?? '');
      return [name, textAt(variable, 'value') ?? fromSecret];
    }),
  );
}

/** Lists the names of all fields at any depth, except labels. */
function fieldsOf(value: unknown): string[] {
  if (Array.isArray(value)) return value.flatMap(fieldsOf);
  if (!isRecord(value)) return [];
  return Object.entries(value).flatMap(([name, inner]) => [name, ...(name === 'matchLabels' ? [] : fieldsOf(inner))]);
}
