import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Address, reachableHost } from '../../client/settings.ts';

/** The readiness of the broker or the cluster, with the reason when it does not answer. */
export type Readiness = { readonly ready: true } | { readonly ready: false; readonly reason: string };

export interface HealthServer {
  readonly url: string;
  close(): Promise<void>;
}

export interface HealthOptions {
  readonly listen: Address;
  /** Returns the readiness of each by itself, since losing the broker is not losing the cluster. */
  readonly readiness: () => {
    readonly broker: Readiness;
    readonly cluster: Readiness;
    /** The agent that leads, when it is another one: this agent is then ready without a broker. */
    readonly standby?: string | undefined;
  };
  readonly metrics: () => Promise<{ text: string; contentType: string }>;
}

/** Serves /healthz (the process runs), /readyz (broker and cluster answer) and /metrics. Rejects when the port is taken. */
export async function startHealthServer({ listen, readiness, metrics }: HealthOptions): Promise<HealthServer> {
  const server = createServer({ requestTimeout: 10_000, keepAliveTimeout: 5_000 }, (request, response) => {
    const path = (request.url ?? '/').split('?')[0];
    if (request.method !== 'GET' && request.method !== 'HEAD') return end(response, 405, 'only GET\n');
    if (path === '/healthz') return end(response, 200, 'ok\n');
    if (path === '/readyz') {
      const { standby, ...state } = readiness();
      if (standby !== undefined && state.cluster.ready) return end(response, 200, `standby: ${standby} leads\n`);
      const lines = Object.entries(state).map(([name, one]) => `${name}: ${one.ready ? 'ok' : one.reason}\n`);
      return end(response, state.broker.ready && state.cluster.ready ? 200 : 503, lines.join(''));
    }
    if (path !== '/metrics') return end(response, 404, 'not found\n');
    metrics().then(
      ({ text, contentType }) => end(response, 200, text, contentType),
      () => end(response, 500, 'the metrics cannot be read\n'),
    );
  });
  server.listen(listen.port, listen.host);
  try {
    await once(server, 'listening');
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const why = code === 'EADDRINUSE' ? 'is in use' : `cannot be used: ${code ?? message}`;
    throw new Error(`the address ${listen.host}:${listen.port} of the health endpoint ${why}`);
  }
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://${reachableHost(listen.host)}:${port}`,
    async close() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

function end(response: ServerResponse, status: number, text: string, contentType = 'text/plain; charset=utf-8'): void {
  response.writeHead(status, { 'content-type': contentType, 'content-length': Buffer.byteLength(text) });
  response.end(text);
}
