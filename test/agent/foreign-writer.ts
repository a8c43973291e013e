import { groupOf, type ObjectId } from '../../agent/object/kube-object.ts';
import { MERGE_PATCH, requestKube } from '../../sandbox/apiserver/client.ts';
import type { Lab } from './test-agent.ts';

/** For tests: somebody else, who changes objects under a field manager's name. */
export interface ForeignWriter {
  /** Merges into an object; null removes a field. */
  patch(id: ObjectId, patch: unknown, manager?: string): Promise<void>;
  /** The same for its status, as a controller would. */
  patchStatus(id: ObjectId, status: unknown): Promise<void>;
}

const plurals: Readonly<Record<string, string>> = {
  ConfigMap: 'configmaps',
  Deployment: 'deployments',
  Pod: 'pods',
  Gizmo: 'gizmos',
};

export function createMeddler({ address }: Pick<Lab, 'address'>): ForeignWriter {
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
