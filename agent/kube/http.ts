import { type Agent, request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { sleep } from '../concurrency/backoff.ts';
import { createSemaphore } from '../concurrency/semaphore.ts';
import type { ObjectId } from '../object/kube-object.ts';
import { refusal, unreachable } from './api-error.ts';

/** How to reach and convince the API server just now. */
export interface Access {
  /** For example `https://10.0.0.1:6443`; may have a path. */
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
  /** The answer is text, and `body` is that. */
  readonly text?: boolean;
  /** Another form of the answer than plain JSON. */
  readonly accept?: string;
  /** The user to act as; this agent's own when unset. */
  readonly impersonate?: string;
  /** What the request is about, for errors. */
  readonly object?: ObjectId | undefined;
  readonly signal: AbortSignal;
}

export interface KubeAnswer {
  readonly status: number;
  readonly body: unknown;
}

export interface KubeHttpOptions {
  /** Asked before each request; `renew` after the server has refused the credentials. Rejects as soon as the signal aborts. */
  access(renew: boolean, signal: AbortSignal): Promise<Access>;
  readonly timeoutMs: number;
  /** Requests at the same time; as many slow ones again may go on beside them. */
  readonly concurrency: number;
  readonly userAgent: string;
  /** Told about each answer; status 0 for none. */
  readonly observe: (method: string, status: number, seconds: number) => void;
}

export type KubeHttp = (request: KubeRequest) => Promise<KubeAnswer>;

/** A request that takes longer, such as one that a webhook holds up, makes room for those of other stacks. */
const slowMs = 1_000;
const maxRetries = 3;
const maxRetryAfterMs = 10_000;

/**
 * Requests to a Kubernetes API over kept connections. A refusal is a ClusterError; no answer within the time, too. An overloaded
 * server's `Retry-After` is honoured, at most three times. Every request is one that may be sent twice.
 */
export function createKubeHttp(options: KubeHttpOptions): KubeHttp {
  const limit = createSemaphore(options.concurrency, { afterMs: slowMs, most: options.concurrency });
  return async (request) => {
    let renewed = false;
    for (let attempt = 0; ; ) {
      const answer = await limit.run(() => send(options, request, renewed), request.signal);
      if (answer.status < 300) {
        const body: unknown = request.text ? answer.text : JSON.parse(answer.text);
        return { status: answer.status, body };
      }
      if (answer.status === 401 && !renewed) {
        renewed = true;
        continue;
      }
      const waitMs = retryAfterMs(answer);
      if (waitMs === undefined || attempt === maxRetries) throw refusal(answer.status, answer.text, request.object);
      attempt += 1;
      await sleep(waitMs, request.signal);
    }
  };
}

interface RawAnswer {
  readonly status: number;
  readonly text: string;
  readonly retryAfter: string | undefined;
}

async function send(options: KubeHttpOptions, request: KubeRequest, renew: boolean): Promise<RawAnswer> {
  const startedAt = performance.now();
  const signal = AbortSignal.any([request.signal, AbortSignal.timeout(options.timeoutMs)]);
  let status = 0;
  try {
    const access = await options.access(renew, signal);
    let answer = await exchange(access, options.userAgent, request, signal).catch(onceMore);
    // A kept connection that the server closed meanwhile: the request did not get through.
    answer ??= await exchange(access, options.userAgent, request, signal);
    status = answer.status;
    return answer;
  } catch (error) {
    request.signal.throwIfAborted();
    throw unreachable(
      signal.aborted ? new Error(`timed out after ${options.timeoutMs / 1000} s`) : error,
      request.object,
    );
  } finally {
    options.observe(request.method, status, (performance.now() - startedAt) / 1000);
  }
}

class StaleConnection extends Error {}

function onceMore(error: unknown): undefined {
  if (!(error instanceof StaleConnection)) throw error;
}

async function exchange(
  access: Access,
  userAgent: string,
  request: KubeRequest,
  signal: AbortSignal,
): Promise<RawAnswer> {
  const incoming = await openAnswer(access, userAgent, request, signal);
  const text = await readText(incoming);
  return { status: incoming.statusCode ?? 0, text, retryAfter: incoming.headers['retry-after'] };
}

/** Sends a request, and answers as soon as the head of the answer is here; its body is still to be read, or destroyed. */
export function openAnswer(
  access: Access,
  userAgent: string,
  { method, path, query = {}, body, contentType, accept = 'application/json', impersonate }: KubeRequest,
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
      ...(impersonate !== undefined && { 'impersonate-user': impersonate }),
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

/** The whole body, as text. */
export async function readText(incoming: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of incoming as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks).toString('utf8');
}

/** 429 is always about load; 503 only when it says when to come back. */
function retryAfterMs({ status, retryAfter }: RawAnswer): number | undefined {
  if (status !== 429 && !(status === 503 && retryAfter !== undefined)) return undefined;
  const seconds = Number(retryAfter ?? 1);
  return Math.min(
    maxRetryAfterMs,
    (Number.isFinite(seconds) && seconds >= 0 ? seconds : 1) * 1000 * (1 + 0.2 * Math.random()),
  );
}
