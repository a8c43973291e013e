import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { Code, ConnectError } from '@connectrpc/connect';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { connectBroker } from './client.ts';

const settings = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]);
/** A WINDOW_UPDATE frame with increment 0, a connection error in HTTP/2 (RFC 9113, section 6.9). */
const noGrowth = Buffer.from([0, 0, 4, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0]);

/** Calls fail as in gRPC: INTERNAL after a protocol error, UNAVAILABLE after a lost connection. */
const broken: Record<string, readonly [Code, (socket: Socket) => void]> = {
  'is no HTTP/2': [Code.Internal, (socket) => socket.write('SSH-2.0-OpenSSH_9.2\r\n')],
  'breaks the protocol at once': [Code.Internal, (socket) => socket.write(Buffer.concat([settings, noGrowth]))],
  'breaks the protocol during a call': [Code.Internal, answer((socket) => setImmediate(() => socket.write(noGrowth)))],
  'ends within a frame': [Code.Unavailable, answer((socket) => socket.end(noGrowth.subarray(0, 5)))],
  'is reset': [Code.Unavailable, answer((socket) => socket.resetAndDestroy())],
};

function answer(misbehave: (socket: Socket) => void): (socket: Socket) => void {
  return (socket) => {
    socket.write(settings);
    socket.on('data', () => misbehave(socket));
  };
}

const client = suite('the client');
for (const [what, [expected, misbehave]] of Object.entries(broken)) {
  client(`fails its calls, but keeps working, when its peer ${what}`, async () => {
    const sockets = new Set<Socket>();
    const server = createServer((socket) => {
      sockets.add(socket);
      socket.on('error', () => {});
      misbehave(socket);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { broker, close } = connectBroker({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` });
    try {
      const codes = await Promise.all(
        Array.from({ length: 4 }, async () => {
          const seen: Code[] = [];
          for (let call = 0; call < 50; call++)
            seen.push(
              await broker.whoAmI({}, { timeoutMs: 30_000 }).then(
                () => Code.Unknown,
                (error: unknown) => ConnectError.from(error).code,
              ),
            );
          return seen;
        }),
      );
      assert.equal(
        [...new Set(codes.flat())].map((code) => Code[code]),
        [Code[expected]],
      );
    } finally {
      close();
      for (const socket of sockets) socket.destroy();
      server.close();
    }
  });
}
client.run();
