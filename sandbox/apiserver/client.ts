import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';

/** Address of a Kubernetes API, and credentials that may do everything there. */
export interface KubeAccess {
  readonly url: string;
  readonly token: string;
  /** PEM of the authority that signed the server's certificate; undefined for plain HTTP. */
  readonly ca: string | undefined;
}

export interface KubeRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Includes the query. */
  readonly path: string;
  readonly body?: unknown;
  /** Media type of the body, which for a PATCH selects the patch format. */
  readonly contentType?: string;
  readonly signal?: AbortSignal;
}

export interface KubeResponse<Body> {
  readonly status: number;
  readonly body: Body;
}

/** Media type of a JSON merge patch: null removes a field. */
export const MERGE_PATCH = 'application/merge-patch+json';
export const APPLY_PATCH = 'application/apply-patch+yaml';

/** Sends a request to a Kubernetes API and returns the answer, whatever its status. Rejects when no answer arrives. */
export async function requestKube<Body>(access: KubeAccess, request: KubeRequest): Promise<KubeResponse<Body>> {
  const { status, body } = await requestKubeText(access, request);
  return { status, body: JSON.parse(body) as Body };
}

/** Like `requestKube`, for answers that are not JSON, such as a log. */
export async function requestKubeText(access: KubeAccess, request: KubeRequest): Promise<KubeResponse<string>> {
  const response = await sendRequest(access, request);
  let body = '';
  for await (const part of response.setEncoding('utf8') as AsyncIterable<string>) body += part;
  return { status: response.statusCode ?? 0, body };
}

/**
 * Yields the events of a watch, one document a line, until the server ends it. Rejects when the watch is refused or
 * breaks.
 */
export async function* watchKube<Event>(access: KubeAccess, path: string, signal: AbortSignal): AsyncIterable<Event> {
  const response = await sendRequest(access, { method: 'GET', path, signal });
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
export async function requestToken(access: KubeAccess, namespace: string, name: string): Promise<string> {
  const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${name}/token`;
  const tokenRequest = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: {} };
  const { body } = await requestKube<{ status: { token: string } }>(access, {
    method: 'POST',
    path,
    body: tokenRequest,
  });
  return body.status.token;
}

function sendRequest({ url, token, ca }: KubeAccess, { method, path, body, contentType, signal }: KubeRequest) {
  const payload = body === undefined ? undefined : Buffer.from(JSON.stringify(body));
  const headers = {
    authorization: `Bearer ${token}`,
    // Otherwise Node sends the body of a DELETE without its length.
    ...(payload && { 'content-type': contentType ?? 'application/json', 'content-length': payload.length }),
  };
  const send = url.startsWith('https:') ? httpsRequest : httpRequest;
  return new Promise<IncomingMessage>((resolve, reject) => {
    const request = send(`${url}${path}`, { method, ca, headers, agent: false, signal }, resolve);
    request.on('error', reject);
    request.end(payload);
  });
}
