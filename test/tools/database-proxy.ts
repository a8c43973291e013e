import type { AddressInfo } from 'node:net';
import { connect, createServer, type Socket } from 'node:net';

/** A proxy between a broker and its database that delays answers. */
export interface DatabaseProxy {
  readonly url: string;
  /**
   * Delays the answers on the next connection whose client sends `text`: `asked` resolves when the database has
   * answered, `release` lets the answers through.
   */
  hold(text: string): { readonly asked: Promise<void>; release(): void };
  /** Starts counting messages with `text` in them; the returned function returns their number. */
  count(text: string): () => number;
  /** Delays everything, on all connections, until the returned function is called. */
  freeze(): () => void;
  /** Silently drops everything on the connections that are open now; new ones work. */
  forget(): void;
  close(): Promise<void>;
}

/** Starts a proxy on a free loopback port for the database at `databaseUrl`. */
export async function startDatabaseProxy(databaseUrl: string): Promise<DatabaseProxy> {
  const target = new URL(databaseUrl);
  const sockets = new Set<Socket>();
  const held = new Map<Socket, Buffer[]>();
  /** Connections to the database, by the client's connection. */
  const upstreams = new Map<Socket, Socket>();
  const forgotten = new WeakSet<Socket>();
  let hold: { text: string; asked: () => void; took: (socket: Socket) => void } | undefined;
  const counts = new Map<string, number>();
  let frozen = false;
  const flush = (client: Socket) => {
    for (const chunk of held.get(client) ?? []) client.write(chunk);
    held.delete(client);
  };
  const server = createServer((client) => {
    const upstream = connect(Number(target.port), target.hostname);
    let answered: (() => void) | undefined;
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('close', () => sockets.delete(socket));
      socket.on('error', () => {});
      socket.setNoDelay(true);
    }
    upstreams.set(client, upstream);
    client.on('data', (chunk) => {
      if (forgotten.has(client)) return;
      for (const [text, count] of counts) if (chunk.includes(text)) counts.set(text, count + 1);
      if (hold && chunk.includes(hold.text)) {
        answered = hold.asked;
        hold.took(client);
        hold = undefined;
        held.set(client, []);
      }
      upstream.write(chunk);
    });
    upstream.on('data', (chunk) => {
      if (forgotten.has(client)) return;
      const kept = held.get(client);
      if (kept || frozen) {
        held.set(client, [...(kept ?? []), chunk]);
        answered?.();
      } else client.write(chunk);
    });
    client.on('close', () => {
      upstreams.delete(client);
      upstream.destroy();
    });
    upstream.on('close', () => {
      if (!forgotten.has(client)) client.destroy();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = new URL(databaseUrl);
  url.port = String((server.address() as AddressInfo).port);
  return {
    url: url.href,
    hold(text) {
      const asked = Promise.withResolvers<void>();
      let client: Socket | undefined;
      hold = {
        text,
        asked: asked.resolve,
        took: (socket) => {
          client = socket;
        },
      };
      return { asked: asked.promise, release: () => client && flush(client) };
    },
    count(text) {
      counts.set(text, 0);
      return () => counts.get(text) ?? 0;
    },
    freeze() {
      frozen = true;
      return () => {
        frozen = false;
        for (const client of held.keys()) flush(client);
      };
    },
    forget() {
      for (const [client, upstream] of upstreams) {
        forgotten.add(client);
        upstream.destroy();
      }
    },
    close: () =>
      new Promise((resolve) => {
        for (const socket of sockets) socket.destroy();
        server.close(() => resolve());
      }),
  };
}
