import { groupOf, type KubeObject, type ObjectId, objectIdOf } from '../../agent/object/kube-object.ts';
import { MERGE_PATCH, requestKube } from '../../sandbox/apiserver/client.ts';
import type { TestCluster } from './test-agent.ts';

/** Changes objects under another field manager's name, as another client of the cluster would. */
export interface ForeignWriter {
  /** Merges `patch` into an object; null removes a field. */
  patch(id: ObjectId, patch: unknown, manager?: string): Promise<void>;
  /** Applies an object server-side. */
  apply(object: KubeObject, manager: string): Promise<void>;
  /** Changes an object by the operations of a JSON patch. */
  patchJson(id: ObjectId, operations: readonly unknown[], manager?: string): Promise<void>;
  /** Merges into the status, as a controller would. */
  patchStatus(id: ObjectId, status: unknown): Promise<void>;
}

const plurals: Readonly<Record<string, string>> = {
  ConfigMap: 'configmaps',
  Deployment: 'deployments',
  Pod: 'pods',
  Gizmo: 'gizmos',
  Job: 'jobs',
  Secret: 'secrets',
  Service: 'services',
  ClusterRole: 'clusterroles',
  ValidatingWebhookConfiguration: 'validatingwebhookconfigurations',
};

export function createForeignWriter({ address }: Pick<TestCluster, 'address'>): ForeignWriter {
  const send = async (path: string, body: unknown, contentType = MERGE_PATCH) => {
    const ask = { method: 'PATCH', path, body, contentType } as const;
    const answer = await requestKube<unknown>(address, ask);
    if (answer.status > 201) throw new Error(`${answer.status}: ${JSON.stringify(answer.body)}`);
  };
  return {
    patch: (id, patch, manager = 'kubectl-edit') => send(`${pathOf(id)}?fieldManager=${manager}`, patch),
    apply: (object, manager) =>
      send(`${pathOf(objectIdOf(object))}?fieldManager=${manager}&force=true`, object, 'application/apply-patch+yaml'),
    patchJson: (id, operations, manager = 'kubectl-patch') =>
      send(`${pathOf(id)}?fieldManager=${manager}`, operations, 'application/json-patch+json'),
    patchStatus: (id, status) => send(`${pathOf(id)}/status?fieldManager=controller`, { status }),
  };
}

function pathOf({ apiVersion, kind, namespace, name }: ObjectId): string {
  const root = groupOf(apiVersion) === '' ? `/api/${apiVersion}` : `/apis/${apiVersion}`;
  return `${root}${namespace === '' ? '' : `/namespaces/${namespace}`}/${plurals[kind]}/${name}`;
}
