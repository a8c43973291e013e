import { Code } from '@connectrpc/connect';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { denialReason, type GeneratorLimits } from '../../contract/generator-limits.ts';
import { refused, startTestBroker } from '../../test/broker.ts';

const test = await startTestBroker();
const { admin, broker } = test.client();

const none: GeneratorLimits = {
  allowNamespaces: [],
  denyNamespaces: [],
  allowKinds: [],
  denyKinds: [],
  clusterScoped: false,
};
const limits = (more: Partial<GeneratorLimits>): GeneratorLimits => ({ ...none, ...more });
const object = (kind: string, namespace = '', apiVersion = 'v1', name = 'x') => ({ apiVersion, kind, namespace, name });

/** The rules as a table: what a generator with these limits may deploy (undefined), and why not. */
const cases: readonly (readonly [Partial<GeneratorLimits>, ReturnType<typeof object>, RegExp | undefined, boolean?])[] =
  [
    // Nothing said: any namespace, any kind that is namespaced.
    [{}, object('ConfigMap', 'a'), undefined],
    [{}, object('ConfigMap'), undefined],
    [{}, object('Namespace'), /Namespace is cluster-scoped/],
    [{}, object('ClusterRole', '', 'rbac.authorization.k8s.io/v1'), /cluster-scoped/],
    [{}, object('ClusterRole', 'a', 'rbac.authorization.k8s.io/v1'), /cluster-scoped/],
    [{}, object('CustomResourceDefinition', '', 'apiextensions.k8s.io/v1'), /cluster-scoped/],
    [{}, object('ValidatingAdmissionPolicy', '', 'admissionregistration.k8s.io/v1'), /cluster-scoped/],
    [{ clusterScoped: true }, object('ClusterRole', '', 'rbac.authorization.k8s.io/v1'), undefined],
    // A kind of somebody else's group with the name of a cluster-scoped one is not that one.
    [{}, object('Namespace', 'a', 'example.com/v1'), undefined],
    // Namespaces.
    [{ allowNamespaces: ['a', 'team-*'] }, object('ConfigMap', 'a'), undefined],
    [{ allowNamespaces: ['a', 'team-*'] }, object('ConfigMap', 'team-x'), undefined],
    [{ allowNamespaces: ['a', 'team-*'] }, object('ConfigMap', 'team-'), undefined],
    [{ allowNamespaces: ['a', 'team-*'] }, object('ConfigMap', 'team'), /team is not among/],
    [{ allowNamespaces: ['a', 'team-*'] }, object('ConfigMap', 'ab'), /ab is not among/],
    [{ allowNamespaces: ['a'] }, object('ConfigMap'), /must name its namespace/],
    [{ denyNamespaces: ['kube-*'] }, object('ConfigMap', 'kube-system'), /kube-system is denied/],
    [{ denyNamespaces: ['kube-*'] }, object('ConfigMap', 'a'), undefined],
    [{ denyNamespaces: ['kube-*'] }, object('ConfigMap'), /must name its namespace/],
    [{ allowNamespaces: ['team-*'], denyNamespaces: ['team-x'] }, object('ConfigMap', 'team-x'), /denied/],
    // Namespaces as objects are namespaces by their name.
    [{ clusterScoped: true, allowNamespaces: ['team-*'] }, object('Namespace', '', 'v1', 'team-a'), undefined],
    [
      { clusterScoped: true, allowNamespaces: ['team-*'] },
      object('Namespace', '', 'v1', 'other'),
      /other is not among/,
    ],
    [{ clusterScoped: true, denyNamespaces: ['kube-*'] }, object('Namespace', '', 'v1', 'kube-system'), /denied/],
    [{ clusterScoped: true, denyNamespaces: ['x'] }, object('PersistentVolume', '', 'v1', 'x'), undefined],
    // Kinds.
    [{ allowKinds: ['ConfigMap'] }, object('ConfigMap', 'a'), undefined],
    [{ allowKinds: ['ConfigMap'] }, object('Secret', 'a'), /kind Secret is not among/],
    [{ allowKinds: ['ConfigMap'] }, object('ConfigMap', 'a', 'example.com/v1'), /example.com\/ConfigMap is not among/],
    [{ allowKinds: ['apps/*'] }, object('Deployment', 'a', 'apps/v1'), undefined],
    [{ allowKinds: ['apps/*'] }, object('Deployment', 'a', 'apps.example.com/v1'), /not among/],
    [{ allowKinds: ['*'], denyKinds: ['Secret'] }, object('Secret', 'a'), /kind Secret is denied/],
    [{ allowKinds: ['*'], denyKinds: ['Secret'] }, object('Pod', 'a'), undefined],
    [{ denyKinds: ['rbac.authorization.k8s.io/*'] }, object('Role', 'a', 'rbac.authorization.k8s.io/v1'), /denied/],
    [{ denyKinds: ['*'] }, object('Pod', 'a'), /denied/],
    // Only the agent knows whether a kind of another group is namespaced; until then only certain violations are refused.
    [{ allowNamespaces: ['a'] }, object('Widget', 'b', 'example.com/v1'), /b is not among/],
    [{ allowNamespaces: ['a'] }, object('Widget', '', 'example.com/v1'), undefined],
    [{ allowNamespaces: ['a'] }, object('Widget', '', 'example.com/v1'), /must name its namespace/, true],
    [{ allowNamespaces: ['a'] }, object('Widget', '', 'example.com/v1'), /cluster-scoped/, false],
    [{ clusterScoped: true }, object('Widget', '', 'example.com/v1'), undefined, false],
    [{}, object('Widget', '', 'example.com/v1'), /cluster-scoped/, false],
  ];

const rules = suite("a generator's rules");
rules.after(() => test.close());

rules('allow and deny as the table says', () => {
  for (const [more, subject, expected, namespaced] of cases) {
    const reason = denialReason(limits(more), subject, namespaced);
    const what = `${JSON.stringify(more)} ${JSON.stringify(subject)}: ${reason}`;
    if (expected === undefined) assert.is(reason, undefined, what);
    else assert.match(reason ?? '', expected, what);
  }
});

const yaml = (...objects: ReturnType<typeof object>[]) =>
  Buffer.from(
    objects
      .map(({ apiVersion, kind, namespace, name }) =>
        JSON.stringify({ apiVersion, kind, metadata: { name, ...(namespace !== '' && { namespace }) } }),
      )
      .join('\n---\n'),
  );
const configMap = (namespace: string, name = 'x') => yaml(object('ConfigMap', namespace, 'v1', name));

rules('are checked for a submission, a dry run and a rollback, whoever asks', async () => {
  const { pak } = await admin.createGenerator({ name: 'ci', rules: { allowNamespaces: ['a', 'b'] } });
  const ci = test.client(pak).broker;
  await ci.createStack({ name: 'web' });
  await ci.submitDeployment({ stack: 'web', manifest: configMap('b') });
  await ci.submitDeployment({ stack: 'web', manifest: configMap('a') });
  for (const submit of [ci, broker])
    for (const dryRun of [true, false])
      await refused(
        submit.submitDeployment({ stack: 'ci/web', manifest: configMap('c'), dryRun }),
        Code.PermissionDenied,
        'generator "ci" may not deploy ConfigMap c/x: namespace c is not among the allowed namespaces',
      );
  await admin.updateGenerator({
    generator: 'ci',
    rules: { allowNamespaces: ['a'] },
    updateMask: { paths: ['rules'] },
  });
  for (const roll of [ci, broker])
    await refused(roll.rollbackStack({ stack: 'ci/web', revision: 1 }), Code.PermissionDenied, 'namespace b');
  // The same again is checked too, though nothing would change.
  await admin.updateGenerator({
    generator: 'ci',
    rules: { denyKinds: ['ConfigMap'] },
    updateMask: { paths: ['rules'] },
  });
  await refused(ci.submitDeployment({ stack: 'web', manifest: configMap('a') }), Code.PermissionDenied, 'denied');
  const { stack } = await ci.getStack({ stack: 'web' });
  assert.is(stack?.revision, 2);
  await admin.updateGenerator({ generator: 'ci', rules: {}, updateMask: { paths: ['rules'] } });
  await ci.submitDeployment({ stack: 'web', manifest: configMap('c') });
});

rules('name every object that breaks them, up to twenty', async () => {
  const { pak } = await admin.createGenerator({ name: 'many', rules: { denyKinds: ['Secret'] } });
  const ci = test.client(pak).broker;
  await ci.createStack({ name: 'web' });
  const objects = Array.from({ length: 25 }, (_, at) => object('Secret', 'a', 'v1', `s${at}`));
  const error = await refused(
    ci.submitDeployment({ stack: 'web', manifest: yaml(object('ConfigMap', 'a'), ...objects) }),
    Code.PermissionDenied,
    /Secret a\/s0: kind Secret is denied \(and 24 more\)/,
  );
  assert.ok(error.details.length === 2);
});

rules('leave admins, who own the system generator, free', async () => {
  await broker.createStack({ name: 'base' });
  await broker.submitDeployment({
    stack: 'base',
    manifest: yaml(object('Namespace', '', 'v1', 'x'), object('ClusterRole', '', 'rbac.authorization.k8s.io/v1')),
  });
  await refused(
    admin.updateGenerator({ generator: 'system', rules: {}, updateMask: { paths: ['rules'] } }),
    Code.FailedPrecondition,
    'has no rules',
  );
});

rules('keep every generator but system out of the namespace of the agents', async () => {
  const { pak } = await admin.createGenerator({ name: 'keen', rules: { clusterScoped: true } });
  const ci = test.client(pak).broker;
  await ci.createStack({ name: 'web' });
  const lease = object('Lease', 'brokkr', 'coordination.k8s.io/v1', 'brokkr-agent');
  for (const one of [lease, object('ResourceQuota', 'brokkr'), object('Namespace', '', 'v1', 'brokkr')])
    await refused(
      ci.submitDeployment({ stack: 'web', manifest: yaml(one) }),
      Code.PermissionDenied,
      'namespace brokkr is the agent’s own',
    );
  await refused(
    ci.submitDeployment({ stack: 'web', namespace: 'brokkr', manifest: yaml(object('Secret')) }),
    Code.PermissionDenied,
    'agent’s own',
  );
  await broker.createStack({ name: 'agents' });
  await broker.submitDeployment({ stack: 'agents', manifest: yaml(lease) });
});

rules('do not let a generator speak of cluster-scoped objects unless it is told so', async () => {
  const { pak, generator } = await admin.createGenerator({ name: 'tenant' });
  assert.is(generator?.rules?.clusterScoped, false);
  const ci = test.client(pak).broker;
  await ci.createStack({ name: 'web' });
  const manifest = yaml(object('Namespace', '', 'v1', 'mine'));
  await refused(
    ci.submitDeployment({ stack: 'web', manifest }),
    Code.PermissionDenied,
    'kind Namespace is cluster-scoped',
  );
  await admin.updateGenerator({
    generator: 'tenant',
    rules: { clusterScoped: true },
    updateMask: { paths: ['rules'] },
  });
  await ci.submitDeployment({ stack: 'web', manifest });
});

rules('are refused when they are none', async () => {
  for (const bad of [
    { allowNamespaces: ['*'] },
    { allowNamespaces: ['A'] },
    { denyNamespaces: ['a*b'] },
    { allowKinds: ['configmap'] },
    { denyKinds: ['apps/'] },
    { denyKinds: ['*/Secret'] },
    { allowNamespaces: ['a', 'a'] },
  ])
    await refused(admin.createGenerator({ name: 'bad', rules: bad }), Code.InvalidArgument);
});

rules.run();
