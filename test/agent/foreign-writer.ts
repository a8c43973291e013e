import { groupOf, type ObjectId } from '../../agent/object/kube-object.ts';
import { MERGE_PATCH, requestKube } from '../../sandbox/apiserver/client.ts';
import type { TestCluster } from './test-agent.ts';

/** Changes objects under another field manager's name, as another client of the cluster would. */
export interface ForeignWriter {
  /** Merges `patch` into an object; null removes a field. */
  patch(id: ObjectId, patch: unknown, manager?: string): Promise<void>;
  /** Merges into the status, as a controller would. */
  patchStatus(id: ObjectId, status: unknown): Promise<void>;
}

const plurals: Readonly<Record<string, string>> = {
  ConfigMap: 'configmaps',
  Deployment: 'deployments',
  Pod: 'pods',
  Gizmo: 'gizmos',
};

export function createForeignWriter({ address }: Pick<TestCluster, 'address'>): ForeignWriter {
  const send = async (path: string, body: unknown) => {
    const ask = { method: 'PATCH', path, body, contentType: MERGE_PATCH } as const;
    const answer = await requestKube<unknown>(address, ask);
    if (answer.status !== 200) throw new Error(`${answer.status}: ${JSON.stringify(answer.body)}`);
  };
  return {
    patch: (id, patch, manager = 'kubectl-edit') => send(`${pathOf(id)}?fieldManager=${manager}`, patch),
    patchStatus: (id, status) => send(`${pathOf(id)}/status?fieldManager=controller`, { status }),
  };
}

function pathOf({ apiVersion, kind, namespace, name }: ObjectId): string {
  const root = groupOf(apiVersion) === '' ? `/api/${apiVersion}` : `/apis/${apiVersion}`;
  return `${root}${namespace === '' ? '' : `/namespaces/${namespace}`}/${plurals[kind]}/${name}`;
}
