import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseAllDocuments } from 'yaml';
import type { KubeObject } from '../agent/object/kube-object.ts';
import { connect, openRealCluster } from '../test/agent/test-agent.ts';
import { needs } from '../test/runner/needs.ts';
import { parsePage, readPages } from './pages.ts';

const root = resolve(import.meta.dirname, '..');
const kubernetes = suite('Kubernetes objects of the documents');
if (needs('go')) await describe();
kubernetes.run();

/** Returns the objects in the YAML blocks of every page, with their place. */
function objects(): { where: string; object: KubeObject }[] {
  const readme = parsePage('README.md', readFileSync(join(root, 'README.md'), 'utf8'));
  return [...readPages().values(), readme].flatMap(({ path, blocks }) =>
    blocks
      .filter(({ language }) => language === 'yaml')
      .flatMap(({ text, line }) =>
        parseAllDocuments(text).map((document) => ({
          where: `${path}:${line}`,
          object: document.toJS() as KubeObject,
        })),
      )
      .filter(({ object }) => object?.apiVersion !== undefined && object.kind !== undefined),
  );
}

async function describe(): Promise<void> {
  const real = await openRealCluster();
  const cluster = connect(real.source);
  /** Applies an object server-side, which, unlike creation, refuses fields that are not in the schema. */
  const apply = async (object: KubeObject, signal: AbortSignal) => {
    const resource = await cluster.discovery.find(object.apiVersion, object.kind, signal);
    if (!resource) throw new Error(`there is no kind ${object.kind} in ${object.apiVersion}`);
    return cluster.apply(object, resource, { dryRun: false, force: false }, signal);
  };
  kubernetes.after(async () => {
    cluster.close();
    await real.close();
  });

  kubernetes('are accepted by a real API server', async () => {
    const signal = AbortSignal.timeout(120_000);
    const found = objects();
    const namespaces = new Set(found.map(({ object }) => object.metadata.namespace ?? 'default'));
    for (const name of namespaces) {
      const id = { apiVersion: 'v1', kind: 'Namespace', namespace: '', name };
      if (!(await cluster.get(id, signal)))
        await cluster.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } }, signal);
    }
    const wrong: string[] = [];
    for (const { where, object } of found) {
      try {
        await apply({ ...object, metadata: { namespace: 'default', ...object.metadata } }, signal);
      } catch (error) {
        wrong.push(`${where}: ${(error as Error).message}`);
      }
    }
    assert.equal(wrong, []);
    assert.ok(found.filter(({ object }) => object.kind === 'NetworkPolicy').length >= 3);
  });

  kubernetes('with an unknown field are refused', async () => {
    const policy = objects().find(({ object }) => object.kind === 'NetworkPolicy')?.object;
    const spec = { ...(policy?.spec as object), sideways: true };
    const wrong = { ...policy, metadata: { name: 'wrong', namespace: 'default' }, spec } as KubeObject;
    const refused = await apply(wrong, AbortSignal.timeout(60_000)).then(
      () => '',
      (error: Error) => error.message,
    );
    assert.match(refused, 'sideways');
  });
}
