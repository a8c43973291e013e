import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';

/** Address of a Kubernetes API, and credentials that may do everything there. */
export interface KubeAccess {
  readonly url: string;
  readonly token: string;
  /** PEM of the authority that signed the server's certificate; undefined for plain HTTP. */
  readonly ca: string | undefined;
}

export interface KubeAsk {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Includes the query. */
  readonly path: string;
  readonly body?: unknown;
  /** Media type of the body, which for a PATCH selects the patch format. */
  readonly contentType?: string;
  readonly signal?: AbortSignal;
}

export interface KubeAnswer<Body> {
  readonly status: number;
  readonly body: Body;
}

/** Media type of a JSON merge patch: null removes a field. */
export const MERGE_PATCH = 'application/merge-patch+json';
export const APPLY_PATCH = 'application/apply-patch+yaml';

/** Sends a request to a Kubernetes API and returns the answer, whatever its status. Rejects when no answer arrives. */
export async function askKube<Body>(access: KubeAccess, ask: KubeAsk): Promise<KubeAnswer<Body>> {
  const { status, body } = await readKube(access, ask);
  return { status, body: JSON.parse(body) as Body };
}

/** Like `askKube`, for answers that are not JSON, such as a log. */
export async function readKube(access: KubeAccess, ask: KubeAsk): Promise<KubeAnswer<string>> {
  const response = await open(access, ask);
  let body = '';
  for await (const part of response.setEncoding('utf8') as AsyncIterable<string>) body += part;
  return { status: response.statusCode ?? 0, body };
}

/**
 * Yields the events of a watch, one document a line, until the server ends it. Rejects when the watch is refused or
 * breaks.
 */
export async function* watchKube<Event>(access: KubeAccess, path: string, signal: AbortSignal): AsyncIterable<Event> {
  const response = await open(access, { method: 'GET', path, signal });
  if (response.statusCode !== 200) {
    response.destroy();
    throw new Error(`the watch was refused with ${response.statusCode}`);
  }
  let rest = '';
  for await (const part of response.setEncoding('utf8') as AsyncIterable<string>) {
    const lines = (rest + part).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) yield JSON.parse(line) as Event;
  }
}

/** Requests a token of a ServiceAccount, like the one that its pods get. */
export async function tokenOf(access: KubeAccess, namespace: string, name: string): Promise<string> {
  const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${name}/token`;
  const wanted = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: {} };
  const { body } = await askKube<{ status: { token: string } }>(access, { method: 'POST', path, body: wanted });
  return body.status.token;
}

function open({ url, token, ca }: KubeAccess, { method, path, body, contentType, signal }: KubeAsk) {
  const payload = body === undefined ? undefined : Buffer.from(JSON.stringify(body));
  const headers = {
    authorization: `Bearer ${token}`,
    // Otherwise Node sends the body of a DELETE without its length.
    ...(payload && { 'content-type': contentType ?? 'application/json', 'content-length': payload.length }),
  };
  const send = url.startsWith('https:') ? httpsRequest : httpRequest;
  return new Promise<IncomingMessage>((settle, fail) => {
    const sent = send(`${url}${path}`, { method, ca, headers, agent: false, signal }, settle);
    sent.on('error', fail);
    sent.end(payload);
  });
}
