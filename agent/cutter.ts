import { connect, createServer, type Socket } from 'node:net';
import type { KubeSource } from './cluster.ts';
import type { Lab } from './harness.ts';

/** For tests: a line to a simulated cluster that can be cut. */
export interface Cutter {
  readonly source: KubeSource;
  /** Ends every connection; new ones come through. */
  cut(): void;
  /** Ends every connection, and lets none through until it is joined again. */
  part(): void;
  join(): void;
  close(): Promise<void>;
}

export async function startCutter({ simulated }: Pick<Lab, 'simulated'>): Promise<Cutter> {
  if (!simulated) throw new Error('only lines to a simulated cluster can be cut');
  const sockets = new Set<Socket>();
  let isOpen = true;
  const server = createServer((client) => {
    if (!isOpen) return client.destroy();
    const upstream = connect({ host: '127.0.0.1', port: simulated.port });
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => socket.destroy());
      socket.once('close', () => {
        sockets.delete(socket);
        client.destroy();
        upstream.destroy();
      });
    }
    client.pipe(upstream).pipe(client);
    return undefined;
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = typeof address === 'object' && address ? address.port : 0;
  const cut = () => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    source: { text: simulated.kubeconfig.replaceAll(String(simulated.port), String(port)) },
    cut,
    part() {
      isOpen = false;
      cut();
    },
    join() {
      isOpen = true;
    },
    async close() {
      cut();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
