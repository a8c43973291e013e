import { once } from 'node:events';
import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { AddressInfo } from 'node:net';
import { StatusError } from '../cluster/core/status.ts';
import { createRequests, type FaultRule, type RequestHandler, type RequestRecord } from '../cluster/http/requests.ts';
import { HOST } from '../host.ts';
import type { KubeAccess } from './client.ts';
import { kubeconfigText } from './folder.ts';

/** A proxy in front of a real or simulated Kubernetes API that records requests and injects faults. */
export interface KubeProxy {
  /** Text of a kubeconfig that authenticates as the proxy's own user. */
  readonly kubeconfig: string;
  /** The last requests, oldest first; at least 5,000. */
  readonly requests: readonly RequestRecord[];
  clearRequests(): void;
  readonly faults: { add(rule: FaultRule): () => void };
  /**
   * Registers a handler that is awaited before each request is forwarded; it may delay the request or act at that
   * moment.
   */
  onRequest(handler: RequestHandler): () => void;
  /** Closes every open connection, watches included. */
  closeConnections(): void;
  close(): Promise<void>;
}

/** Starts a proxy on a loopback port. Clients reach it over plain HTTP. */
export async function startKubeProxy(access: KubeAccess): Promise<KubeProxy> {
  const requests = createRequests();
  const server = createServer((request, response) => {
    const [path = '/', query = ''] = (request.url ?? '/').split('?');
    const { 'user-agent': userAgent = '', 'impersonate-user': impersonated = '' } = request.headers;
    const method = request.method ?? 'GET';
    const of = { method, path, query, userAgent, impersonated: [impersonated].flat().join() };
    const record: RequestRecord = { ...of, at: Date.now(), status: 0 };
    response.once('finish', () => {
      record.status = response.statusCode;
    });
    requests.admit(record).then(
      (drop) => (drop === true ? response.destroy() : forward(access, request, response, drop === 'answer')),
      (error: unknown) => respondError(response, error),
    );
  });
  server.listen(0, HOST);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    kubeconfig: kubeconfigText(`http://${HOST}:${port}`, '', access.token).replace(
      /certificate-authority-data: .*/,
      'insecure-skip-tls-verify: true',
    ),
    get requests() {
      return requests.records;
    },
    clearRequests: requests.clear,
    faults: { add: requests.addFault },
    onRequest: requests.onRequest,
    closeConnections: () => server.closeAllConnections(),
    async close() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

function forward(
  { url, ca }: KubeAccess,
  request: IncomingMessage,
  response: ServerResponse,
  loseAnswer: boolean,
): void {
  const { method, headers } = request;
  const send = url.startsWith('https:') ? httpsRequest : httpRequest;
  const sent = send(`${url}${request.url}`, { method, headers, ca, agent: false }, (answer) => {
    if (loseAnswer) return void answer.resume().once('close', () => response.destroy());
    response.writeHead(answer.statusCode ?? 502, answer.headers);
    answer.pipe(response);
    answer.once('error', () => response.destroy());
  });
  sent.on('error', () => response.destroy());
  response.once('close', () => sent.destroy());
  request.pipe(sent);
}

function respondError(response: ServerResponse, error: unknown): void {
  const { code, status } = error instanceof StatusError ? error : new StatusError(500, String(error));
  response.writeHead(code, { 'content-type': 'application/json', ...(code === 429 && { 'retry-after': '1' }) });
  response.end(JSON.stringify(status));
}
