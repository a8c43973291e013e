import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { Lab } from './harness.ts';
import { groupOf, type ObjectId } from './object.ts';

/** For tests: somebody else, who changes objects under a field manager's name. */
export interface Meddler {
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

export function createMeddler({ address: { url, token, ca } }: Pick<Lab, 'address'>): Meddler {
  const send = (path: string, body: unknown) =>
    new Promise<void>((resolve, reject) => {
      const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/merge-patch+json' };
      const open = url.startsWith('https:') ? httpsRequest : httpRequest;
      const outgoing = open(
        `${url}${path}`,
        { method: 'PATCH', headers, ...(ca && { ca }), agent: false },
        (answer) => {
          let text = '';
          answer.setEncoding('utf8');
          answer.on('data', (chunk: string) => {
            text += chunk;
          });
          answer.on('end', () =>
            answer.statusCode === 200 ? resolve() : reject(new Error(`${answer.statusCode}: ${text}`)),
          );
        },
      );
      outgoing.on('error', reject);
      outgoing.end(JSON.stringify(body));
    });
  return {
    patch: (id, patch, manager = 'kubectl-edit') => send(`${pathOf(id)}?fieldManager=${manager}`, patch),
    patchStatus: (id, status) => send(`${pathOf(id)}/status?fieldManager=controller`, { status }),
  };
}

function pathOf({ apiVersion, kind, namespace, name }: ObjectId): string {
  const root = groupOf(apiVersion) === '' ? `/api/${apiVersion}` : `/apis/${apiVersion}`;
  return `${root}${namespace === '' ? '' : `/namespaces/${namespace}`}/${plurals[kind]}/${name}`;
}
