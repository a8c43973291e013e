import type { ServerResponse } from 'node:http';
import { type KubeObject, listAt, textAt } from './object.ts';
import { badRequest } from './status.ts';

const LINE_MS = 1_000;
const MOST_LINES = 200;

/** A container's log: a line for every second since its pod was made, the last 200 of them. */
export function streamLog(pod: KubeObject, query: URLSearchParams, response: ServerResponse): void {
  const { name, creationTimestamp = '' } = pod.metadata;
  const containers = listAt(pod, 'spec.containers').map((container) => textAt(container, 'name'));
  const container = query.get('container') ?? containers[0];
  if (!containers.includes(container)) throw badRequest(`container ${container} is not valid for pod ${name}`);
  if (textAt(pod, 'status.phase') === 'Pending')
    throw badRequest(`container "${container}" in pod "${name}" is waiting to start: ContainerCreating`);

  const start = Date.parse(creationTimestamp);
  const now = Math.max(0, Math.floor((Date.now() - start) / LINE_MS));
  const since = query.get('sinceSeconds') ? now - Number(query.get('sinceSeconds')) : 0;
  const tail = Number(query.get('tailLines') ?? MOST_LINES);
  const line = (n: number) => {
    const time = new Date(start + n * LINE_MS).toISOString();
    return `${query.get('timestamps') === 'true' ? `${time} ` : ''}${name} ${container}: line ${n}\n`;
  };
  const first = Math.max(0, since, now - Math.min(tail, MOST_LINES) + 1);
  const lines = Array.from({ length: Math.max(0, now - first + 1) }, (_, n) => line(first + n));
  response.writeHead(200, { 'content-type': 'text/plain' });
  response.write(lines.join(''));
  if (query.get('follow') !== 'true' || response.closed) {
    response.end();
    return;
  }
  let next = now + 1;
  const timer = setInterval(() => response.write(line(next++)), LINE_MS);
  response.once('close', () => clearInterval(timer));
}
