import { type Agent, request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { parseExact } from '../../contract/exact-json.ts';
import { sleep } from '../concurrency/backoff.ts';
import { createSemaphore } from '../concurrency/semaphore.ts';
import type { ObjectId } from '../object/kube-object.ts';
import { errorFromResponse, unreachableError } from './api-error.ts';
import { parseWarnings } from './warnings.ts';

/** Current address and credentials of the API server. */
export interface ApiAccess {
  /** URL such as `https://10.0.0.1:6443`, possibly with a path. */
  readonly server: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly agent: Agent;
}

export interface KubeRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly path: string;
  readonly query?: Readonly<Record<string, string | undefined>>;
  readonly body?: unknown;
  readonly contentType?: string;
  /** Returns the response's text as `body`, rather than parsed JSON. */
  readonly isText?: boolean;
  /** Value of the Accept header; JSON by default. */
  readonly accept?: string;
  /** User to impersonate; none for the agent's own rights. */
  readonly user?: string;
  /** Object that the request is about, for errors. */
  readonly object?: ObjectId | undefined;
  readonly signal: AbortSignal;
}

export interface KubeResponse {
  readonly status: number;
  readonly body: unknown;
  /** Warnings of the API server, such as that a version is deprecated. */
  readonly warnings: readonly string[];
}

export interface KubeHttpOptions {
  /** Provides the credentials of each request; with `renew` after the server refused them. Rejects when the signal aborts. */
  access(renew: boolean, signal: AbortSignal): Promise<ApiAccess>;
  readonly timeoutMs: number;
  /** Maximum number of concurrent requests; as many slow ones again may go on beside them. */
  readonly concurrency: number;
  readonly userAgent: string;
  /** Called after each request; status 0 means that there was no response. */
  readonly observe: (method: string, status: number, seconds: number) => void;
}

export type KubeHttp = (request: KubeRequest) => Promise<KubeResponse>;

/** A request that takes longer, such as one that waits for a webhook, no longer counts towards the limit. */
const slowMs = 1_000;
const maxRetries = 3;
const maxRetryAfterMs = 10_000;

/**
 * Creates the function that sends requests over reused connections. It rejects with ClusterError for a refusal and after a timeout,
 * and honours an overloaded server's `Retry-After` at most three times. Requests may be sent twice, so each must be safe to repeat.
 */
export function createKubeHttp(options: KubeHttpOptions): KubeHttp {
  const requestLimit = createSemaphore(options.concurrency, { afterMs: slowMs, most: options.concurrency });
  return async (request) => {
    let renewed = false;
    for (let attempt = 0; ; ) {
      const response = await requestLimit.run(() => send(options, request, renewed), request.signal);
      if (response.status < 300) {
        const body: unknown = request.isText ? response.text : parseExact(response.text);
        return { status: response.status, body, warnings: response.warnings };
      }
      if (response.status === 401 && !renewed) {
        renewed = true;
        continue;
      }
      const waitMs = retryAfterMs(response);
      if (waitMs === undefined || attempt === maxRetries)
        throw errorFromResponse(response.status, response.text, request.object);
      attempt += 1;
      await sleep(waitMs, request.signal);
    }
  };
}

interface RawResponse {
  readonly status: number;
  readonly text: string;
  readonly retryAfter: string | undefined;
  readonly warnings: readonly string[];
}

async function send(options: KubeHttpOptions, request: KubeRequest, renew: boolean): Promise<RawResponse> {
  const startedAt = performance.now();
  const signal = AbortSignal.any([request.signal, AbortSignal.timeout(options.timeoutMs)]);
  let status = 0;
  try {
    const access = await options.access(renew, signal);
    let response = await exchange(access, options.userAgent, request, signal).catch(ignoreStaleConnection);
    // The server had closed the reused connection, so the request did not get through.
    response ??= await exchange(access, options.userAgent, request, signal);
    status = response.status;
    return response;
  } catch (error) {
    request.signal.throwIfAborted();
    throw unreachableError(
      signal.aborted ? new Error(`timed out after ${options.timeoutMs / 1000} s`) : error,
      request.object,
    );
  } finally {
    options.observe(request.method, status, (performance.now() - startedAt) / 1000);
  }
}

class StaleConnection extends Error {}

function ignoreStaleConnection(error: unknown): undefined {
  if (!(error instanceof StaleConnection)) throw error;
}

async function exchange(
  access: ApiAccess,
  userAgent: string,
  request: KubeRequest,
  signal: AbortSignal,
): Promise<RawResponse> {
  const incoming = await openResponse(access, userAgent, request, signal);
  const text = await readText(incoming);
  const { 'retry-after': retryAfter, warning = '' } = incoming.headers;
  return { status: incoming.statusCode ?? 0, text, retryAfter, warnings: parseWarnings(warning) };
}

/** Sends a request and resolves as soon as the response's headers arrive. The caller has to read the body or destroy it. */
export function openResponse(
  access: ApiAccess,
  userAgent: string,
  { method, path, query = {}, body, contentType, accept = 'application/json', user }: KubeRequest,
  signal: AbortSignal,
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const url = new URL(access.server.replace(/\/$/, '') + path);
    for (const [name, value] of Object.entries(query)) if (value !== undefined) url.searchParams.set(name, value);
    const payload = body === undefined ? undefined : Buffer.from(JSON.stringify(body));
    const headers: Record<string, string | number> = {
      ...access.headers,
      accept,
      'user-agent': userAgent,
      ...(user !== undefined && { 'impersonate-user': user }),
    };
    if (payload) {
      headers['content-type'] = contentType ?? 'application/json';
      headers['content-length'] = payload.length;
    }
    const send = url.protocol === 'https:' ? httpsRequest : httpRequest;
    const outgoing = send(url, { method, headers, agent: access.agent, signal }, resolve);
    outgoing.on('error', (error: NodeJS.ErrnoException) => {
      reject(
        outgoing.reusedSocket && error.code === 'ECONNRESET'
          ? new StaleConnection(error.message, { cause: error })
          : error,
      );
    });
    outgoing.end(payload);
  });
}

/** Reads the whole body as text. */
export async function readText(incoming: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of incoming as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks).toString('utf8');
}

/** Returns how long to wait before a retry: 429 always means overload, 503 only when it comes with a Retry-After. */
function retryAfterMs({ status, retryAfter }: RawResponse): number | undefined {
  if (status !== 429 && !(status === 503 && retryAfter !== undefined)) return undefined;
  const seconds = Number(retryAfter ?? 1);
  return Math.min(
    maxRetryAfterMs,
    (Number.isFinite(seconds) && seconds >= 0 ? seconds : 1) * 1000 * (1 + 0.2 * Math.random()),
  );
}
