import type { Socket } from 'node:net';
import { startTcpRelay } from '../tools/tcp-relay.ts';

/** What happens to connections through the proxy; decided anew for each chunk that the server sends. */
export type Mischief = 'none' | 'truncate' | 'reset' | 'delay' | 'empty' | 'trickle';

/** Of a trickle, each second. */
const trickleBytes = 40 << 10;

export interface Proxy {
  readonly port: number;
  /** Does `mischief` to this share (0 to 1) of the server's chunks. */
  misbehave(mischief: Mischief, share?: number): void;
  /** How often something was done. */
  readonly done: Readonly<Record<Mischief, number>>;
  close(): Promise<void>;
}

/** A TCP proxy between an agent and its broker that spoils answers. `random` decides, so that a seed repeats a run. */
export async function startProxy(target: { host: string; port: number }, random: () => number): Promise<Proxy> {
  let mischief: Mischief = 'none';
  let share = 0;
  const done: Record<Mischief, number> = { none: 0, truncate: 0, reset: 0, delay: 0, empty: 0, trickle: 0 };
  const { port, close } = await startTcpRelay(target, (client, upstream) => {
    client.pipe(upstream);
    let last = Promise.resolve();
    upstream.on('data', (chunk: Buffer) => {
      const act: Mischief = random() < share ? mischief : 'none';
      done[act] += 1;
      last = last.then(() => spoil(client, chunk, act, random));
    });
  });
  return {
    port,
    misbehave(next, nextShare = 1) {
      mischief = next;
      share = nextShare;
    },
    done,
    close,
  };
}

async function spoil(client: Socket, chunk: Buffer, act: Mischief, random: () => number): Promise<void> {
  switch (act) {
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
      // The answer's bytes are swallowed; the connection stays.
      return;
  }
}
