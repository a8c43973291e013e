import type { Socket } from 'node:net';
import { startTcpRelay } from '../tools/tcp-relay.ts';

/** A fault that the proxy injects; chosen again for each chunk that the server sends. */
export type NetworkFault = 'none' | 'truncate' | 'reset' | 'delay' | 'empty' | 'trickle';

/** Bytes per second of a trickling connection. */
const trickleBytes = 40 << 10;

export interface FaultyProxy {
  readonly port: number;
  /** Injects the fault into this share (0 to 1) of the server's chunks. */
  inject(mischief: NetworkFault, share?: number): void;
  /** Number of injections of each fault. */
  readonly injected: Readonly<Record<NetworkFault, number>>;
  close(): Promise<void>;
}

/** Starts a TCP proxy between an agent and its broker that damages responses. `random` decides, so that a seed repeats a run. */
export async function startFaultyProxy(
  target: { host: string; port: number },
  random: () => number,
): Promise<FaultyProxy> {
  let fault: NetworkFault = 'none';
  let share = 0;
  const injected: Record<NetworkFault, number> = { none: 0, truncate: 0, reset: 0, delay: 0, empty: 0, trickle: 0 };
  const { port, close } = await startTcpRelay(target, (client, upstream) => {
    client.pipe(upstream);
    let last = Promise.resolve();
    upstream.on('data', (chunk: Buffer) => {
      const chosen: NetworkFault = random() < share ? fault : 'none';
      injected[chosen] += 1;
      last = last.then(() => forward(client, chunk, chosen, random));
    });
  });
  return {
    port,
    inject(next, nextShare = 1) {
      fault = next;
      share = nextShare;
    },
    injected,
    close,
  };
}

async function forward(client: Socket, chunk: Buffer, fault: NetworkFault, random: () => number): Promise<void> {
  switch (fault) {
    case 'none':
      client.write(chunk);
      return;
    case 'truncate':
      client.end(chunk.subarray(0, Math.floor(random() * chunk.length)));
      return;
    case 'reset':
      client.resetAndDestroy();
      return;
    case 'delay':
      await new Promise((resolve) => setTimeout(resolve, 20 + random() * 300));
      client.write(chunk);
      return;
    case 'trickle':
      await new Promise((resolve) => setTimeout(resolve, (chunk.length / trickleBytes) * 1_000));
      client.write(chunk);
      return;
    case 'empty':
      // Drops the bytes and keeps the connection.
      return;
  }
}
