import { EventEmitter } from 'node:events';
import type { ServerResponse } from 'node:http';
import { type KubeObject, listAt, textAt, valueAt } from '../core/object.ts';
import { badRequest } from '../core/status.ts';

/** Logs of the containers. */
export interface Logs {
  /** Appends lines to a container's log, which lasts as long as the cluster runs. */
  write(namespace: string, pod: string, container: string, lines: readonly string[]): void;
  /** Answers a request for a log. */
  stream(pod: KubeObject, query: URLSearchParams, response: ServerResponse): void;
}

interface LogLine {
  readonly ms: number;
  /** Distinguishes lines of the same millisecond. */
  readonly nanos: number;
  readonly text: string;
}

const MAX_LINES = 200;
const NANOS = 1_000_000;

/** Each container writes a line every `everyMs` since its pod was created, of which the last 200 are kept. */
export function createLogs(everyMs = 1_000): Logs {
  const written = new Map<string, LogLine[]>();
  const lineEvents = new EventEmitter().setMaxListeners(0);
  let last: LogLine = { ms: 0, nanos: 0, text: '' };
  const keyOf = (namespace: string, pod: string, container: string) => `${namespace}/${pod}/${container}`;
  return {
    write(namespace, pod, container, lines) {
      const key = keyOf(namespace, pod, container);
      const existing = written.get(key) ?? [];
      written.set(key, existing);
      for (const text of lines) {
        const ms = Date.now();
        last = { ms, nanos: last.ms === ms ? (last.nanos + 1) % NANOS : 0, text };
        existing.push(last);
        lineEvents.emit(key, last);
      }
    },
    stream(pod, query, response) {
      const { name, namespace = '', creationTimestamp = '' } = pod.metadata;
      const containers = listAt(pod, 'spec.containers').map((container) => textAt(container, 'name'));
      const container = query.get('container') ?? containers[0] ?? '';
      if (!containers.includes(container)) throw badRequest(`container ${container} is not valid for pod ${name}`);
      if (textAt(pod, 'status.phase') === 'Pending')
        throw badRequest(`container "${container}" in pod "${name}" is waiting to start: ContainerCreating`);

      const start = Date.parse(creationTimestamp);
      const isOver = valueAt(pod, 'status.phase') === 'Succeeded' || valueAt(pod, 'status.phase') === 'Failed';
      const ownLine = (n: number): LogLine => ({
        ms: start + n * everyMs,
        nanos: 0,
        text: `${name} ${container}: line ${n}`,
      });
      const now = everyMs > 0 ? Math.max(0, Math.floor((Date.now() - start) / everyMs)) : -1;
      const ownLines = Array.from({ length: Math.min(MAX_LINES, now + 1) }, (_, back) => ownLine(now - back)).reverse();
      const key = keyOf(namespace, name, container);
      const lines = [...ownLines, ...(written.get(key) ?? [])].sort(
        (left, right) => left.ms - right.ms || left.nanos - right.nanos,
      );
      const since = firstTimeMs(query);
      const tail = Number(query.get('tailLines') ?? Number.POSITIVE_INFINITY);
      const recent = lines.filter(({ ms }) => ms >= since);
      const writeLine = ({ ms, nanos, text }: LogLine) => {
        const time = new Date(ms).toISOString().replace('Z', `${String(nanos).padStart(6, '0')}Z`);
        response.write(`${query.get('timestamps') === 'true' ? `${time} ` : ''}${text}\n`);
      };
      response.writeHead(200, { 'content-type': 'text/plain' });
      response.flushHeaders();
      for (const line of recent.slice(Math.max(0, recent.length - tail))) writeLine(line);
      if (query.get('follow') !== 'true' || isOver || response.closed) {
        response.end();
        return;
      }
      let next = now + 1;
      const timer = everyMs > 0 ? setInterval(() => writeLine(ownLine(next++)), everyMs) : undefined;
      lineEvents.on(key, writeLine);
      response.once('close', () => {
        clearInterval(timer);
        lineEvents.off(key, writeLine);
      });
    },
  };
}

function firstTimeMs(query: URLSearchParams): number {
  const [time, seconds] = [query.get('sinceTime'), query.get('sinceSeconds')];
  if (time) return Date.parse(time);
  return seconds ? Date.now() - Number(seconds) * 1_000 : 0;
}
