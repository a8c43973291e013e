import type { IncomingMessage } from 'node:http';
import { at, type KindId, type KubeObject, textAt } from '../object/kube-object.ts';
import { ClusterError, errorFromResponse, unreachableError } from './api-error.ts';
import { type KubeHttpOptions, type KubeRequest, openResponse, readText } from './http.ts';

/**
 * Sends a request and yields the parts that `read` makes of the response. Throws ClusterError for a refusal, a break or a long
 * silence.
 */
export type KubeStream = <Part>(
  request: KubeRequest,
  read: (incoming: IncomingMessage) => AsyncIterable<Part>,
  timeouts?: StreamTimeouts,
) => AsyncIterable<Part>;

export interface StreamTimeouts {
  /** Milliseconds until the response's headers must have arrived. */
  readonly headersMs: number;
  /** Milliseconds without any data after which the connection counts as dead. */
  readonly idleMs: number;
}

/** One event of a watch. */
export type WatchEvent =
  | { readonly type: 'changed' | 'deleted'; readonly object: KubeObject }
  /** Everything up to this version has been sent. */
  | { readonly type: 'bookmark'; readonly resourceVersion: string };

export interface TextLine {
  readonly text: string;
  /** True when the line was longer than the text. */
  readonly isTruncated: boolean;
}

/** Three times the interval at which servers send bookmarks: a connection that is silent for longer may be dead. */
const defaultIdleMs = 180_000;
/** Larger than any object that a cluster stores. */
const maxLineBytes = 16 << 20;

/** Creates the function that opens streaming requests. They do not count towards the limit on concurrent requests. */
export function createKubeStream(options: KubeHttpOptions): KubeStream {
  return async function* stream(request, read, timeouts) {
    const end = new AbortController();
    const signal = AbortSignal.any([request.signal, end.signal]);
    const abortWith = (message: string) => () => end.abort(new Error(message));
    const { headersMs = options.timeoutMs, idleMs = defaultIdleMs } = timeouts ?? {};
    const headersTimer = setTimeout(abortWith(`timed out after ${headersMs / 1000} s`), headersMs);
    let idleTimer: NodeJS.Timeout | undefined;
    const startedAt = performance.now();
    let status = 0;
    try {
      const response = await openAuthenticated(options, request, signal);
      status = response.statusCode ?? 0;
      if (status >= 300) throw errorFromResponse(status, await readText(response), request.object);
      clearTimeout(headersTimer);
      options.observe('WATCH', status, (performance.now() - startedAt) / 1000);
      idleTimer = setTimeout(abortWith(`nothing came for ${idleMs / 1000} s`), idleMs);
      for await (const part of read(response)) {
        idleTimer.refresh();
        yield part;
      }
    } catch (error) {
      request.signal.throwIfAborted();
      if (status === 0 || status >= 300) options.observe('WATCH', status, (performance.now() - startedAt) / 1000);
      if (error instanceof ClusterError) throw error;
      throw unreachableError(end.signal.aborted ? end.signal.reason : error, request.object);
    } finally {
      clearTimeout(headersTimer);
      clearTimeout(idleTimer);
      end.abort();
    }
  };
}

/** Opens the response, with renewed credentials when the server refuses the present ones. */
async function openAuthenticated(options: KubeHttpOptions, request: KubeRequest, signal: AbortSignal) {
  const response = await openResponse(await options.access(false, signal), options.userAgent, request, signal);
  if (response.statusCode !== 401) return response;
  response.destroy();
  return openResponse(await options.access(true, signal), options.userAgent, request, signal);
}

/** Converts a document of a watch; undefined for an unknown type. Throws ClusterError for an error that the server reports. */
export function toWatchEvent(document: unknown, { apiVersion, kind }: KindId): WatchEvent | undefined {
  // A partial object calls itself PartialObjectMetadata, so its kind is set here.
  const object = () => ({ ...(at(document, 'object') as KubeObject), apiVersion, kind });
  switch (textAt(document, 'type')) {
    case 'ADDED':
    case 'MODIFIED':
      return { type: 'changed', object: object() };
    case 'DELETED':
      return { type: 'deleted', object: object() };
    case 'BOOKMARK':
      return { type: 'bookmark', resourceVersion: textAt(document, 'object', 'metadata', 'resourceVersion') ?? '' };
    case 'ERROR': {
      const status = Number(at(document, 'object', 'code') ?? 500);
      throw errorFromResponse(status, JSON.stringify(at(document, 'object')), undefined);
    }
    default:
      return undefined;
  }
}

/** Yields the JSON documents of a response that has one in each line. */
export async function* documentsOf(incoming: IncomingMessage): AsyncIterable<unknown> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = lines.pop() ?? '';
    if (rest.length > maxLineBytes) throw new Error('a document of the stream is too large');
    for (const line of lines) if (line.trim() !== '') yield JSON.parse(line) as unknown;
  }
}

/**
 * Yields the lines of a text, each truncated to `maxLength` characters. What remains without a line end at the end is a line too.
 */
export async function* textLinesOf(incoming: IncomingMessage, maxLength: number): AsyncIterable<TextLine> {
  const decoder = new TextDecoder();
  let rest = '';
  const lineOf = (text: string): TextLine => ({
    text: text.slice(0, maxLength).replace(/\r$/, ''),
    isTruncated: text.length > maxLength,
  });
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    // An unfinished line is kept only as far as is needed to know that it is too long.
    rest = (lines.pop() ?? '').slice(0, maxLength + 1);
    for (const line of lines) yield lineOf(line);
  }
  if (rest !== '') yield lineOf(rest);
}
