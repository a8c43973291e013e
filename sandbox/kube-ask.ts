import { request } from 'node:https';
import type { Kube } from './kube.ts';

export interface KubeAnswer {
  readonly status: number;
  /** Undefined when the answer was no JSON. */
  readonly body: unknown;
}

/** One request to the API server, as the bearer of the token: what a hand with curl would send. A PATCH is a server-side apply. */
export function askKube(
  { url, ca, token }: Pick<Kube, 'url' | 'ca' | 'token'>,
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE',
  path: string,
  body?: unknown,
): Promise<KubeAnswer> {
  const type = method === 'PATCH' ? 'application/apply-patch+yaml' : 'application/json';
  const headers = { authorization: `Bearer ${token}`, 'content-type': type };
  return new Promise((settle, fail) => {
    const sent = request(`${url}${path}`, { method, ca, headers, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => {
        text += part;
      });
      response.on('end', () => settle({ status: response.statusCode ?? 0, body: parsed(text) }));
    });
    sent.on('error', fail);
    sent.end(body && JSON.stringify(body));
  });
}

/** A token of a ServiceAccount, as a pod of it would have one. */
export async function tokenOf(kube: Kube, namespace: string, name: string): Promise<string> {
  const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${name}/token`;
  const wanted = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: {} };
  const { body } = await askKube(kube, 'POST', path, wanted);
  return (body as { status: { token: string } }).status.token;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
