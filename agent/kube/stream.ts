import type { IncomingMessage } from 'node:http';
import { at, type KindId, type KubeObject, textAt } from '../object/kube-object.ts';
import { ClusterError, refusal, unreachable } from './api-error.ts';
import type { WatchEvent } from './client.ts';
import { type KubeHttpOptions, type KubeRequest, openAnswer, readText } from './http.ts';

/** An answer that comes bit by bit, read by `read`. A refusal, a break or a long silence is a ClusterError. */
export type KubeStream = <Part>(
  request: KubeRequest,
  read: (incoming: IncomingMessage) => AsyncIterable<Part>,
  patience?: Patience,
) => AsyncIterable<Part>;

/** How long nothing may come: before the answer begins, and then. */
export interface Patience {
  readonly headMs: number;
  readonly silentMs: number;
}

/** A server sends a bookmark about every minute; a connection on which nothing comes for so long may be dead. */
const usualSilentMs = 180_000;
/** Larger than any object that a cluster stores. */
const maxLineBytes = 16 << 20;

export function createKubeStream(options: KubeHttpOptions): KubeStream {
  return async function* stream(request, read, patience) {
    const end = new AbortController();
    const signal = AbortSignal.any([request.signal, end.signal]);
    const fail = (what: string) => () => end.abort(new Error(what));
    const { headMs = options.timeoutMs, silentMs = usualSilentMs } = patience ?? {};
    const headTimer = setTimeout(fail(`timed out after ${headMs / 1000} s`), headMs);
    let silence: NodeJS.Timeout | undefined;
    const startedAt = performance.now();
    let status = 0;
    try {
      let answer = await openAnswer(await options.access(false, signal), options.userAgent, request, signal);
      if (answer.statusCode === 401) {
        answer.destroy();
        answer = await openAnswer(await options.access(true, signal), options.userAgent, request, signal);
      }
      status = answer.statusCode ?? 0;
      if (status >= 300) throw refusal(status, await readText(answer), request.object);
      clearTimeout(headTimer);
      options.observe('WATCH', status, (performance.now() - startedAt) / 1000);
      silence = setTimeout(fail(`nothing came for ${silentMs / 1000} s`), silentMs);
      for await (const part of read(answer)) {
        silence.refresh();
        yield part;
      }
    } catch (error) {
      request.signal.throwIfAborted();
      if (status === 0 || status >= 300) options.observe('WATCH', status, (performance.now() - startedAt) / 1000);
      if (error instanceof ClusterError) throw error;
      throw unreachable(end.signal.aborted ? end.signal.reason : error, request.object);
    } finally {
      clearTimeout(headTimer);
      clearTimeout(silence);
      end.abort();
    }
  };
}

/** What a document of a watch says; undefined for one of an unknown type. An error of the server is a ClusterError. */
export function toWatchEvent(document: unknown, { apiVersion, kind }: KindId): WatchEvent | undefined {
  // In another form, objects say that they are that form.
  const object = () => ({ ...(at(document, 'object') as KubeObject), apiVersion, kind });
  switch (textAt(document, 'type')) {
    case 'ADDED':
    case 'MODIFIED':
      return { type: 'changed', object: object() };
    case 'DELETED':
      return { type: 'deleted', object: object() };
    case 'BOOKMARK':
      return { type: 'bookmark', resourceVersion: textAt(document, 'object', 'metadata', 'resourceVersion') ?? '' };
    case 'ERROR':
      throw refusal(Number(at(document, 'object', 'code') ?? 500), JSON.stringify(at(document, 'object')), undefined);
    default:
      return undefined;
  }
}

/** One JSON document a line. */
export async function* documentsOf(incoming: IncomingMessage): AsyncIterable<unknown> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    const parts = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = parts.pop() ?? '';
    if (rest.length > maxLineBytes) throw new Error('a document of the stream is too large');
    for (const part of parts) if (part.trim() !== '') yield JSON.parse(part) as unknown;
  }
}

export interface TextLine {
  readonly text: string;
  /** There was more of it. */
  readonly isCut: boolean;
}

/** Lines of text, each cut to about so many characters; what has no end yet when the stream ends is a line too. */
export async function* textLinesOf(incoming: IncomingMessage, longest: number): AsyncIterable<TextLine> {
  const decoder = new TextDecoder();
  let rest = '';
  const lineOf = (text: string) => ({ text: text.slice(0, longest).replace(/\r$/, ''), isCut: text.length > longest });
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    const parts = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    // Of a line that does not end, no more is kept than is needed to know that it is too long.
    rest = (parts.pop() ?? '').slice(0, longest + 1);
    for (const part of parts) yield lineOf(part);
  }
  if (rest !== '') yield lineOf(rest);
}
