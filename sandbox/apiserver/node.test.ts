import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { needs } from '../../test/runner/needs.ts';
import { BEHAVIOUR } from '../cluster/controllers/pod-status.ts';
import { type JsonObject, type KubeObject, listAt, numberAt, textAt } from '../cluster/core/object.ts';
import { startKube } from './apiserver.ts';
import { type KubeRequest, requestKube, requestKubeText } from './client.ts';
import { startSimulatedNode } from './node.ts';

const node = suite('simulated node');
if (needs('go')) await describe();
node.run();

async function describe(): Promise<void> {
  const dataDir = mkdtempSync(join(tmpdir(), 'brokkr-node-'));
  const kube = await startKube({ dataDir });
  const first = await startSimulatedNode(kube);
  const nodes = [first];
  const ask = (method: KubeRequest['method'], path: string, body?: unknown) =>
    requestKube<JsonObject>(kube, { method, path, body });
  const readLog = async (pod: KubeObject | undefined, query = '') => {
    const path = `/api/v1/namespaces/default/pods/${pod?.metadata.name}/log?${query}`;
    return (await requestKubeText(kube, { method: 'GET', path })).body;
  };
  const make = async (path: string, object: object) => assert.is((await ask('POST', path, object)).status, 201);
  const podsOf = async (app: string) =>
    listAt(
      (await ask('GET', `/api/v1/namespaces/default/pods?labelSelector=app=${app}`)).body,
      'items',
    ) as KubeObject[];

  node.after(async () => {
    for (const one of nodes) await one.close();
    await kube.stop();
    rmSync(dataDir, { recursive: true, force: true });
  });

  node('runs the pods of a Deployment', async () => {
    await make('/apis/apps/v1/namespaces/default/deployments', deployment('web', 3));
    await eventually(async () => {
      const { body } = await ask('GET', '/apis/apps/v1/namespaces/default/deployments/web');
      return numberAt(body, 'status.availableReplicas') === 3;
    });
  });

  node('runs one pod of a DaemonSet', async () => {
    const { spec, ...rest } = deployment('daemon', 1);
    const { replicas: _, ...more } = spec;
    await make('/apis/apps/v1/namespaces/default/daemonsets', { ...rest, kind: 'DaemonSet', spec: more });
    await eventually(async () => {
      const { body } = await ask('GET', '/apis/apps/v1/namespaces/default/daemonsets/daemon');
      return numberAt(body, 'status.numberReady') === 1;
    });
  });

  node('completes a Job, and fails one whose container ends with an error', async () => {
    const path = '/apis/batch/v1/namespaces/default/jobs';
    const finished = async (name: string, field: string) => {
      const { body } = await ask('GET', `${path}/${name}`);
      return numberAt(body, `status.${field}`) === 1;
    };
    await make(path, job('done', {}));
    await make(path, job('broken', { [BEHAVIOUR]: 'crashing' }));
    await eventually(() => finished('done', 'succeeded'));
    await eventually(() => finished('broken', 'failed'));
  });

  node('reports why a container does not run', async () => {
    const path = '/apis/apps/v1/namespaces/default/deployments';
    await make(path, deployment('unpullable', 1, {}, 'web:does-not-exist'));
    await make(path, deployment('crashing', 1, { [BEHAVIOUR]: 'crashing' }));
    for (const [app, reason] of [
      ['unpullable', 'ImagePullBackOff'],
      ['crashing', 'CrashLoopBackOff'],
    ] as const)
      await eventually(async () => {
        const [pod] = await podsOf(app);
        return textAt(listAt(pod, 'status.containerStatuses')[0], 'state.waiting.reason') === reason;
      });
  });

  node('serves logs through the API server', async () => {
    const [pod] = await podsOf('web');
    assert.match(await readLog(pod, 'tailLines=2'), new RegExp(`${pod?.metadata.name} main: line \\d+\\n$`));
    assert.match(await readLog(pod, 'container=other'), 'container other is not valid');
  });

  node('continues after a crash of the API server, and drops deleted pods', async () => {
    kube.killApiServer();
    await kube.restartApiServer();
    await ask('DELETE', '/apis/apps/v1/namespaces/default/deployments/web?propagationPolicy=Background');
    await eventually(async () => (await podsOf('web')).length === 0);
    await make('/apis/apps/v1/namespaces/default/deployments', deployment('later', 2));
    await eventually(async () => (await podsOf('later')).every((pod) => textAt(pod, 'status.phase') === 'Running'));
  });

  node('reuses its Node object after a restart', async () => {
    await first.close();
    nodes.push(await startSimulatedNode(kube));
    const [pod] = await podsOf('later');
    await eventually(async () => /main: line/.test(await readLog(pod)));
  });
}

function deployment(name: string, replicas: number, annotations: Record<string, string> = {}, image = 'web:1') {
  const labels = { app: name };
  const spec = { containers: [{ name: 'main', image }] };
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name },
    spec: { replicas, selector: { matchLabels: labels }, template: { metadata: { labels, annotations }, spec } },
  };
}

function job(name: string, annotations: Record<string, string>) {
  const spec = { restartPolicy: 'Never', containers: [{ name: 'main', image: 'job:1' }] };
  return {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: { name },
    spec: { backoffLimit: 0, template: { metadata: { annotations }, spec } },
  };
}

async function eventually(holds: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 60_000;
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error('it did not happen within 60 s');
    await delay(50);
  }
}
