import { Code } from '@connectrpc/connect';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { objectText } from '../../contract/object-key.ts';
import { refused, startTestBroker } from '../../test/broker.ts';

const test = await startTestBroker();
const { broker, admin } = test.client();
const namespaces = suite('a default namespace');
namespaces.after(() => test.close());

let stacks = 0;
const newStack = async () => (await broker.createStack({ name: `s${++stacks}` })).stack?.name ?? '';
const config = (name: string, namespace?: string) => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, namespace },
});
const text = (...objects: readonly unknown[]) => Buffer.from(objects.map((one) => JSON.stringify(one)).join('\n'));
const crd = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: 'wides.example.com' },
  spec: { group: 'example.com', scope: 'Cluster', names: { kind: 'Wide', plural: 'wides' } },
};
const wide = { apiVersion: 'example.com/v1', kind: 'Wide', metadata: { name: 'w' } };
const objectsOf = async (stack: string, revision = 0) =>
  (await broker.getDeployment({ stack, revision })).objects.map((object) => objectText(object));

namespaces('is that of every object that names none and is not cluster-scoped', async () => {
  const stack = await newStack();
  const manifest = text(config('a'), config('b', 'other'), crd, wide, {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: 'argocd' },
  });
  const { deployment, namespace } = await broker.submitDeployment({ stack, manifest, namespace: 'argocd' });
  assert.equal([deployment?.namespace, namespace], ['argocd', 'argocd']);
  assert.equal(await objectsOf(stack), [
    'ConfigMap argocd/a',
    'ConfigMap other/b',
    'CustomResourceDefinition.apiextensions.k8s.io wides.example.com',
    'Wide.example.com w',
    'Namespace argocd',
  ]);
});

namespaces('stays until a submission names another, so that nothing moves by accident', async () => {
  const stack = await newStack();
  const manifest = text(config('a'));
  await broker.submitDeployment({ stack, manifest, namespace: 'one' });
  const dry = await broker.submitDeployment({ stack, manifest, dryRun: true });
  assert.equal([dry.unchanged, dry.namespace], [true, 'one']);
  assert.is((await broker.submitDeployment({ stack, manifest })).unchanged, true, 'a client that knows no namespaces');
  const moved = await broker.submitDeployment({ stack, manifest, namespace: 'two' });
  assert.equal(
    moved.changes.map(({ object }) => objectText(object)),
    ['ConfigMap two/a', 'ConfigMap one/a'],
  );
  await broker.submitDeployment({ stack, manifest, namespace: '' });
  assert.equal(await objectsOf(stack), ['ConfigMap a']);
  assert.is((await broker.rollbackStack({ stack, revision: 2 })).deployment?.namespace, 'two');
  assert.equal(await objectsOf(stack), ['ConfigMap two/a']);
});

namespaces('is a part of the content, also where every object names its own', async () => {
  const stack = await newStack();
  const manifest = text(config('a', 'own'));
  await broker.submitDeployment({ stack, manifest });
  const changed = await broker.submitDeployment({ stack, manifest, namespace: 'one' });
  assert.equal([changed.unchanged, changed.deployment?.revision, changed.changes.length], [false, 2, 0]);
  const read = await broker.getDeployment({ stack });
  assert.ok(
    (await broker.submitDeployment({ stack, manifest: read.manifest })).unchanged,
    'what is read can be submitted',
  );
  const back = await broker.rollbackStack({ stack, revision: 1 });
  assert.equal([back.unchanged, back.deployment?.namespace], [false, '']);
});

namespaces('may make two objects the same, which is refused', async () => {
  const stack = await newStack();
  const manifest = text(config('a'), config('a', 'one'));
  await refused(
    broker.submitDeployment({ stack, manifest, namespace: 'one' }),
    Code.InvalidArgument,
    'is also in document',
  );
});

namespaces('must be a name of a namespace', async () => {
  const stack = await newStack();
  for (const namespace of ['Upper', '-a', 'a/b', 'a'.repeat(64)])
    await refused(
      broker.submitDeployment({ stack, manifest: text(config('a')), namespace }),
      Code.InvalidArgument,
      'namespace',
    );
});

namespaces('is bound by the rules of the generator, and lets it leave namespaces out of its objects', async () => {
  await admin.createGenerator({ name: 'team', rules: { allowNamespaces: ['team-*'], clusterScoped: false } });
  const { stack } = await broker.createStack({ generator: 'team', name: 'app' });
  const submit = (namespace?: string) =>
    broker.submitDeployment({ stack: stack?.id, manifest: text(config('a')), namespace });
  await refused(submit(), Code.PermissionDenied, 'it must name its namespace');
  await refused(submit('kube-system'), Code.PermissionDenied, 'kube-system');
  assert.is((await submit('team-a')).deployment?.revision, 1);
});

namespaces('that is kept is not that of a revision which was replaced meanwhile', async () => {
  const stack = await newStack();
  const manifest = text(config('a'));
  await broker.submitDeployment({ stack, manifest, namespace: 'one' });
  const rounds = Array.from({ length: 8 }, (_, at) => [
    broker.submitDeployment({ stack, manifest, namespace: `n${at}` }).then(() => 'moved'),
    broker.submitDeployment({ stack, manifest: text(config('a'), config(`b${at}`)) }).then(
      ({ deployment, namespace }) => `${deployment?.namespace === namespace}`,
      ({ code }: { code: Code }) => Code[code],
    ),
  ]);
  for (const outcome of await Promise.all(rounds.flat()))
    assert.ok(['moved', 'true', 'Aborted'].includes(outcome), outcome);
  const { deployments } = await broker.listDeployments({ stack });
  for (const { revision, namespace } of deployments)
    for (const object of await objectsOf(stack, revision)) assert.match(object, `ConfigMap ${namespace}/`);
});

namespaces.run();
