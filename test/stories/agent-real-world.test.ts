import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseAllDocuments } from 'yaml';
import type { KubeObject } from '../../agent/object/kube-object.ts';
import { PlacementPhase } from '../../gen/brokkr/v1/placement_pb.ts';
import { startKube } from '../../sandbox/apiserver/apiserver.ts';
import { connectObserver, openEnvironment, until } from '../agent/test-environment.ts';
import { needs, realWorldFolder } from '../runner/needs.ts';

const story = suite('real-world input on a real API server');
if (needs('go') && needs('real-world')) await tell();
story.run();

async function tell(): Promise<void> {
  const dataDir = mkdtempSync(join(tmpdir(), 'brokkr-real-world-'));
  const kube = await startKube({ dataDir });
  const kubeconfig = readFileSync(kube.kubeconfig, 'utf8');
  const observer = connectObserver(kubeconfig);
  const environment = await openEnvironment();
  await environment.startAgent(await environment.createAgent('real'), kubeconfig);
  story.after(async () => {
    observer.close();
    await environment.close();
    await kube.stop();
    rmSync(dataDir, { recursive: true, force: true });
  });

  const definitions = async () =>
    (await observer.list('apiextensions.k8s.io/v1', 'CustomResourceDefinition'))
      .map(({ metadata }) => metadata.name)
      .filter((name) => name.endsWith('gateway.networking.k8s.io'));
  const { APPLIED, FAILED } = PlacementPhase;

  story('the Gateway API 1.2 is applied', async () => {
    await environment.submit('gateway-api', read('gateway-api-1.2'), ['real']);
    await environment.untilPhase('gateway-api', 'real', APPLIED);
    assert.is((await definitions()).length, 5);
  });

  story('it is upgraded to 1.6', async () => {
    await environment.submit('gateway-api', read('gateway-api-1.6'));
    await environment.untilPhase('gateway-api', 'real', APPLIED);
    assert.is((await definitions()).length, 10);
    // The API server enforces a new policy only a moment after its creation.
    const old = parseAllDocuments(read('gateway-api-1.2')).map((document) => document.toJS() as KubeObject | null);
    const definition = old.find((object) => object?.kind === 'CustomResourceDefinition');
    assert.ok(definition);
    await until(
      async () => (await observer.dryRunError(definition)).includes('ValidatingAdmissionPolicy'),
      () => 'the policy',
    );
  });

  story('a rollback to 1.2 is refused by its own policy: reported, and nothing is deleted', async () => {
    await environment.admin.broker.rollbackStack({ stack: 'gateway-api', revision: 1 });
    const { message } = await environment.untilPhase('gateway-api', 'real', FAILED);
    assert.match(message, /nothing was applied: CustomResourceDefinition .*ValidatingAdmissionPolicy/);
    assert.is((await definitions()).length, 10);
  });

  story('it is removed', async () => {
    await environment.admin.broker.deleteStack({ stack: 'gateway-api' });
    await environment.untilRemoved('gateway-api', 'real');
    assert.equal(await definitions(), []);
  });

  story('the Online Boutique is applied', async () => {
    await environment.submit('boutique', read('online-boutique'), ['real']);
    await environment.untilPhase('boutique', 'real', APPLIED);
    const [deployments, services] = await Promise.all([
      observer.list('apps/v1', 'Deployment'),
      observer.list('v1', 'Service'),
    ]);
    assert.is(deployments.length, 12);
    assert.is(services.filter(({ metadata }) => metadata.name !== 'kubernetes').length, 12);
  });

  story('a changed image changes one object', async () => {
    const before = new Map(
      (await observer.list('apps/v1', 'Deployment')).map(({ metadata }) => [metadata.name, metadata.generation]),
    );
    const text = read('online-boutique');
    const image = /image: (\S*emailservice\S*)/.exec(text)?.[1] ?? '';
    await environment.submit('boutique', text.replace(image, `${image}-next`));
    await environment.untilPhase('boutique', 'real', APPLIED);
    const after = await observer.list('apps/v1', 'Deployment');
    const changed = after.filter(({ metadata }) => metadata.generation !== before.get(metadata.name));
    assert.equal(
      changed.map(({ metadata }) => metadata.name),
      ['emailservice'],
    );
  });

  story('its 36 objects are deleted with the stack', async () => {
    await environment.admin.broker.deleteStack({ stack: 'boutique' });
    await environment.untilRemoved('boutique', 'real');
    assert.is((await observer.list('apps/v1', 'Deployment')).length, 0);
    assert.is((await observer.list('v1', 'Service')).length, 1, 'only the cluster’s own is left');
  });
}

function read(folder: string): string {
  const files = readdirSync(join(realWorldFolder, folder)).sort();
  return files.map((file) => readFileSync(join(realWorldFolder, folder, file), 'utf8')).join('\n---\n');
}
