// time limit: 10 min
import { generate } from 'selfsigned';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type ClusterContext, onBothClusters } from '../../../test/agent/both-clusters.ts';
import { createForeignWriter } from '../../../test/agent/foreign-writer.ts';
import { configMap, configMapId, stackId, type TargetStack, type TestAgent } from '../../../test/agent/test-agent.ts';
import { applyStack } from '../../../test/agent/test-agents.ts';
import { needs } from '../../../test/runner/needs.ts';
import { type KubeObject, listAt, type ObjectId, objectIdOf, valueAt } from '../../object/kube-object.ts';

/** A certificate in PEM, in base64: the API server refuses what is none. */
const { cert } = await generate([{ name: 'commonName', value: 'a' }], { keyType: 'ec', algorithm: 'sha256' });
const bundle = Buffer.from(cert).toString('base64');

const simulated = suite('owning fields, simulated cluster');
const real = suite('owning fields, real API server');
await onBothClusters(simulated, needs('go') && real, describe);
simulated.run();
real.run();

function describe(test: typeof simulated, { testCluster, admin, agents, start }: ClusterContext): void {
  const foreignWriter = createForeignWriter(testCluster);
  let order = 0n;
  const stack = () => stackId(`owning ${agents.namespace}`);
  /** Submits objects as the stack's next deployment, and returns what came of it. */
  const submit = (testAgent: TestAgent, objects: readonly KubeObject[], more: Partial<TargetStack> = {}) => {
    order += 1n;
    return applyStack(testAgent, { stackId: stack(), order, deploymentId: `d${order}`, objects, ...more });
  };
  const at = async (id: ObjectId, ...path: string[]) => valueAt(await admin.get(id), ...path);
  const portsOf = async (id: ObjectId) => (await at(id, 'spec', 'ports')) as Record<string, unknown>[];

  test('puts a Service’s port right that somebody changed', async () => {
    const testAgent = await start();
    const dns = service('dns', [{ name: 'dns', port: 53 }]);
    await submit(testAgent, [dns]);
    const repaired = testAgent.nextEvent(stack(), 'repaired');
    const operations = [{ op: 'replace', path: '/spec/ports/0/port', value: 5353 }];
    await foreignWriter.patchJson(objectIdOf(dns), operations);
    const { changes } = await repaired;
    assert.match(changes[0]?.message ?? '', 'kubectl-patch');
    assert.equal(
      (await portsOf(objectIdOf(dns))).map(({ name, port }) => [name, port]),
      [['dns', 53]],
    );
    await submit(testAgent, [service('dns', [{ name: 'dns', port: 54 }])]);
  });

  test('leaves a port that somebody added', async () => {
    const testAgent = await start();
    const web = service('added', [{ name: 'http', port: 80 }]);
    await submit(testAgent, [web]);
    const operations = [{ op: 'add', path: '/spec/ports/-', value: { name: 'theirs', port: 81 } }];
    await foreignWriter.patchJson(objectIdOf(web), operations);
    const changed = [{ op: 'replace', path: '/spec/ports/0/port', value: 8080 }];
    const repaired = testAgent.nextEvent(stack(), 'repaired');
    await foreignWriter.patchJson(objectIdOf(web), changed, 'somebody');
    await repaired;
    assert.equal((await portsOf(objectIdOf(web))).map(({ port }) => port).sort(), [80, 81]);
  });

  test('takes null as left out, in keyed lists too', async () => {
    const testAgent = await start();
    await submit(testAgent, [service('nulls', [{ name: 'http', port: 80, protocol: null }])]);
    await submit(testAgent, [service('nulls', [{ name: 'http', port: 81, protocol: null }])]);
    const [port, ...more] = await portsOf(objectIdOf(service('nulls', [])));
    assert.is(port?.port, 81);
    assert.equal(more, []);
    testAgent.writes.length = 0;
    await submit(testAgent, [service('nulls', [{ name: 'http', port: 81, protocol: null }])]);
    assert.equal(testAgent.objectWrites(), []);
  });

  test('puts a container’s port and variable right', async () => {
    const testAgent = await start();
    const env = [{ name: 'A', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } }];
    const web = deployment('containers', { ports: [{ name: 'http', containerPort: 80 }], env });
    await submit(testAgent, [web]);
    const repaired = testAgent.nextEvent(stack(), 'repaired');
    const container = '/spec/template/spec/containers/0';
    await foreignWriter.patchJson(objectIdOf(web), [
      { op: 'replace', path: `${container}/ports/0/containerPort`, value: 8080 },
      { op: 'replace', path: `${container}/env/0`, value: { name: 'A', value: 'theirs' } },
      { op: 'add', path: `${container}/env/-`, value: { name: 'B', value: 'added' } },
    ]);
    await repaired;
    const [live] = listAt(await admin.get(objectIdOf(web)), 'spec', 'template', 'spec', 'containers');
    assert.equal(
      listAt(live, 'ports').map((port) => valueAt(port, 'containerPort')),
      [80],
    );
    const [first, second] = listAt(live, 'env');
    assert.equal(Object.keys(first ?? {}).sort(), ['name', 'valueFrom']);
    assert.is(valueAt(second, 'name'), 'B', 'what somebody added stays');
  });

  test('changes the kind of a volume that somebody else has set, too', async () => {
    const testAgent = await start();
    const volume = (source: object) => deployment('volumes', {}, { volumes: [{ name: 'd', ...source }] });
    await submit(testAgent, [volume({ emptyDir: {} })]);
    const path = '/spec/template/spec/volumes/0';
    const repaired = testAgent.nextEvent(stack(), 'repaired');
    await foreignWriter.patchJson(objectIdOf(volume({})), [
      { op: 'replace', path, value: { name: 'd', configMap: { name: 'theirs' } } },
    ]);
    await repaired;
    const [live] = (await at(objectIdOf(volume({})), 'spec', 'template', 'spec', 'volumes')) as object[];
    assert.equal(Object.keys(live ?? {}).sort(), ['emptyDir', 'name']);
  });

  test('changes a strategy from RollingUpdate to Recreate and back', async () => {
    const testAgent = await start();
    await submit(testAgent, [deployment('strategy', {})]);
    const recreate = deployment('strategy', {}, {}, { strategy: { type: 'Recreate' } });
    await submit(testAgent, [recreate]);
    assert.equal(await at(objectIdOf(recreate), 'spec', 'strategy'), { type: 'Recreate' });
    await submit(testAgent, [deployment('strategy', {}, {}, { strategy: { type: 'RollingUpdate' } })]);
    assert.is(await at(objectIdOf(recreate), 'spec', 'strategy', 'type'), 'RollingUpdate');
  });

  test('removes a key of a Secret’s texts that was renamed, and notices their drift', async () => {
    const testAgent = await start();
    const secret = (stringData: Record<string, string>): KubeObject => ({
      ...{ apiVersion: 'v1', kind: 'Secret', metadata: { name: 'texts', namespace: 'default' }, type: 'Opaque' },
      stringData,
    });
    const id = objectIdOf(secret({}));
    await submit(testAgent, [secret({ user: 'admin', password: 'one' })]);
    await submit(testAgent, [secret({ login: 'admin', password: 'one' })]);
    assert.equal(await at(id, 'data'), { login: 'YWRtaW4=', password: 'b25l' });
    const repaired = testAgent.nextEvent(stack(), 'repaired');
    await foreignWriter.patch(id, { data: { password: 'dHdv' } });
    const { changes } = await repaired;
    assert.equal(changes[0]?.fields, ['.data.password']);
    assert.equal(await at(id, 'data'), { login: 'YWRtaW4=', password: 'b25l' });
    testAgent.writes.length = 0;
    await submit(testAgent, [secret({ login: 'admin', password: 'one' })]);
    assert.equal(testAgent.objectWrites(), []);
  });

  test('removes a key of a Secret that was applied as text by an earlier agent', async () => {
    const testAgent = await start();
    const secret = (data: object): KubeObject => ({
      ...{ apiVersion: 'v1', kind: 'Secret', metadata: { name: 'earlier', namespace: 'default' }, type: 'Opaque' },
      ...data,
    });
    await foreignWriter.apply(secret({ stringData: { user: 'admin', password: 'one' } }), 'brokkr');
    await submit(testAgent, [secret({ stringData: { login: 'admin', password: 'one' } })]);
    assert.equal(await at(objectIdOf(secret({})), 'data'), { login: 'YWRtaW4=', password: 'b25l' });
  });

  test('owns what it adopts from kubectl: what the manifest lacks goes, and is named', async () => {
    const testAgent = await start();
    const id = configMapId('adopted');
    await foreignWriter.apply(configMap('adopted', { z: '0' }, 'default'), 'somebody-else');
    await foreignWriter.patch(id, { data: { a: '1', b: '2', c: '3' } }, 'kubectl-client-side-apply');
    await foreignWriter.patch(id, { metadata: { annotations: { restarted: 'now' } } }, 'kubectl-rollout');
    const { changes } = await submit(testAgent, [configMap('adopted', { a: '1', b: '2' })]);
    assert.match(changes[0]?.message ?? '', 'adopted, with the fields of kubectl-client-side-apply');
    assert.equal(changes[0]?.fields, ['.data.c']);
    assert.equal(await at(id, 'data'), { a: '1', b: '2', z: '0' });
    assert.is(await at(id, 'metadata', 'annotations', 'restarted'), 'now', 'what no manifest said stays');
    await submit(testAgent, [configMap('adopted', { a: '1' })]);
    assert.equal(await at(id, 'data'), { a: '1', z: '0' });
  });

  test('leaves an ignored field in the items of a list to whoever sets it', async () => {
    const testAgent = await start();
    const hooks = (failurePolicy: string): KubeObject => ({
      apiVersion: 'admissionregistration.k8s.io/v1',
      kind: 'ValidatingWebhookConfiguration',
      metadata: { name: `${agents.namespace}-hooks` },
      webhooks: ['a', 'b'].map((name) => ({
        name: `${name}.example.org`,
        ...{ sideEffects: 'None', failurePolicy, admissionReviewVersions: ['v1'] },
        clientConfig: { caBundle: '', service: { name, namespace: 'default', path: '/v' } },
        rules: [{ apiGroups: ['x.example.org'], apiVersions: ['v1'], operations: ['CREATE'], resources: ['things'] }],
      })),
    });
    const id = objectIdOf(hooks(''));
    const kind = 'admissionregistration.k8s.io/ValidatingWebhookConfiguration';
    const paths = ['.webhooks[name=a.example.org].clientConfig.caBundle'];
    const ignoredFields = [{ kind, name: '', paths }];
    await submit(testAgent, [hooks('Ignore')], { ignoredFields });
    const bundles = async () =>
      listAt(await admin.get(id), 'webhooks').map((hook) => valueAt(hook, 'clientConfig', 'caBundle') ?? '');
    const repaired = testAgent.nextEvent(stack(), 'repaired');
    await foreignWriter.patchJson(
      id,
      [0, 1].map((index) => ({ op: 'add', path: `/webhooks/${index}/clientConfig/caBundle`, value: bundle })),
      'injector',
    );
    await repaired;
    assert.equal(await bundles(), [bundle, '']);
    await submit(testAgent, [hooks('Fail')], { ignoredFields });
    assert.equal(await bundles(), [bundle, '']);
  });

  test('takes nothing over where that could not be applied', async () => {
    const testAgent = await start();
    const claim = (spec: object): KubeObject => ({
      apiVersion: 'v1',
      kind: 'PersistentVolumeClaim',
      metadata: { name: 'claim', namespace: 'default' },
      spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } }, ...spec },
    });
    await admin.create(claim({ storageClassName: 'theirs' }));
    const id = objectIdOf(claim({}));
    await admin.edit(id, (live) => ({
      ...live,
      metadata: {
        ...live.metadata,
        managedFields: live.metadata.managedFields?.map((fields) => ({ ...fields, manager: 'kubectl-create' })),
      },
    }));
    await submit(testAgent, [claim({})]);
    assert.is(await at(id, 'spec', 'storageClassName'), 'theirs');
  });
}

function service(name: string, ports: readonly object[]): KubeObject {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace: 'default' },
    spec: { selector: { app: name }, ports },
  };
}

function deployment(name: string, container: object, pod: object = {}, spec: object = {}): KubeObject {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, namespace: 'default' },
    spec: {
      selector: { matchLabels: { app: name } },
      template: {
        metadata: { labels: { app: name } },
        spec: { containers: [{ name: 'c', image: 'registry.example.org/web:1', ...container }], ...pod },
      },
      ...spec,
    },
  };
}
