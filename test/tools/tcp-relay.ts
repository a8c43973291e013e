import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** A relay between a client and a server, for tests that disturb the traffic. */
export interface TcpRelay {
  readonly port: number;
  /** Ends every connection; new ones work. */
  cut(): void;
  close(): Promise<void>;
}

/**
 * Starts a relay on a free loopback port. `join` forwards the data of each connection; when one of its ends closes, so
 * does the other.
 */
export async function startTcpRelay(
  target: { readonly host: string; readonly port: number },
  join: (client: Socket, upstream: Socket) => void,
): Promise<TcpRelay> {
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = connect(target);
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => socket.destroy());
      socket.once('close', () => {
        sockets.delete(socket);
        client.destroy();
        upstream.destroy();
      });
    }
    join(client, upstream);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const cut = () => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    port: (server.address() as AddressInfo).port,
    cut,
    async close() {
      cut();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
