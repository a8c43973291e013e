import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Core } from '../core/core.ts';
import type { JsonObject } from '../core/object.ts';
import { notFound, StatusError } from '../core/status.ts';
import { isAggregated } from './aggregated.ts';
import { discover, versionInfo } from './discovery.ts';
import type { Logs } from './logs.ts';
import { openApi } from './openapi.ts';
import type { RequestRecord, Requests } from './requests.ts';
import { answerResource, querySelector } from './resources.ts';
import { authenticate, checkRights, type Rights, requestVerb, reviewAccess } from './rights.ts';
import { parseTarget, type Target } from './target.ts';
import { streamWatch } from './watch.ts';

const BODY_LIMIT = 3 * 1024 * 1024;
const REVIEW = '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews';

export function createApiServer(core: Core, requests: Requests, logs: Logs, rights: Rights | undefined): Server {
  return createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
    const [path = '/', query = ''] = (request.url ?? '/').split('?');
    const record: RequestRecord = {
      method: request.method ?? 'GET',
      path,
      query,
      userAgent: request.headers['user-agent'] ?? '',
      impersonated: [request.headers['impersonate-user'] ?? []].flat().join(),
      at: Date.now(),
      status: 0,
    };
    response.once('finish', () => {
      record.status = response.statusCode;
    });
    respond(core, requests, logs, rights, record, request, response).catch((error: unknown) =>
      respondError(response, error),
    );
  });
}

async function respond(
  core: Core,
  requests: Requests,
  logs: Logs,
  rights: Rights | undefined,
  record: RequestRecord,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const body = await readBody(request);
  const drop = await requests.admit(record);
  if (drop === true) {
    response.destroy();
    return;
  }
  const { method, path, userAgent } = record;
  const requester = authenticate(rights, record.impersonated);
  const query = new URLSearchParams(record.query);
  if (/^\/(healthz|readyz|livez)(\/|$)/.test(path)) return sendText(response, 200, 'ok', 'text/plain');
  if (path === '/version') return sendText(response, 200, JSON.stringify(versionInfo));
  const plain = path.length > 1 && path.endsWith('/') ? path.slice(0, -1) : path;
  if (isAggregated(core, plain)) return sendText(response, 503, 'service unavailable\n', 'text/plain; charset=utf-8');
  const document = discover(core, plain) ?? openApi(core.kinds, plain);
  if (document) return sendText(response, 200, JSON.stringify(document));
  if (path === REVIEW && method === 'POST')
    return sendText(response, 201, JSON.stringify(reviewAccess(core, rights, JSON.parse(body) as JsonObject)));
  const target = parseTarget(core, path);
  if (!target) return sendText(response, 404, '404 page not found\n', 'text/plain; charset=utf-8');
  const watch = query.get('watch') === 'true' || query.get('watch') === '1';
  checkRights(requester, target, requestVerb(method, target.name, watch));
  if (watch && method === 'GET' && !target.name) {
    streamWatch(core, target.kind, target.namespace, querySelector(query), query, response);
    record.status = 200;
    return;
  }
  if (target.kind.resource === '/pods' && target.subresource === 'log') {
    const pod = core.store.get('/pods', target.namespace, target.name ?? '');
    if (!pod) throw notFound(target.kind, target.name ?? '');
    logs.stream(pod, query, response);
    record.status = 200;
    return;
  }
  const contentType = request.headers['content-type'] ?? 'application/json';
  const answer = answerResource(core, { target, method, query, contentType, userAgent, body });
  if (drop === 'answer') response.destroy();
  else {
    if (method !== 'GET' && method !== 'DELETE') warnOfDeprecation(response, target);
    sendText(response, answer.status, answer.text);
  }
}

function respondError(response: ServerResponse, error: unknown): void {
  const known =
    error instanceof StatusError ? error : new StatusError(500, `Internal error occurred: ${String(error)}`);
  if (response.headersSent || response.destroyed) response.destroy();
  else {
    if (known.code === 429) response.setHeader('retry-after', '1');
    sendText(response, known.code, JSON.stringify(known.status));
  }
}

/** Warns as the API server does of what it will serve no longer. */
function warnOfDeprecation(response: ServerResponse, { kind }: Target): void {
  if (kind.resource !== '/endpoints') return;
  response.setHeader('warning', '299 - "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"');
}

function sendText(response: ServerResponse, status: number, text: string, type = 'application/json'): void {
  response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(text) });
  response.end(text);
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > BODY_LIMIT)
      throw new StatusError(413, 'Request entity too large: limit is 3145728', { reason: 'RequestEntityTooLarge' });
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
