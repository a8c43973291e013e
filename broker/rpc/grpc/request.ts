import type { ServerHttp2Stream } from 'node:http2';
import { Code, ConnectError } from '@connectrpc/connect';
import type { Lifetime } from '../lifetime.ts';
import type { Frame, FrameReader } from './frames.ts';

/** The reason of calls whose client is gone. All of them share it, because its stack says nothing. */
export const clientDisconnected = new ConnectError('the client disconnected', Code.Canceled);

/** Reads the only message of a request. Rejects when it is malformed or too large, and when the call ends before it is complete. */
export function readMessage(stream: ServerHttp2Stream, reader: FrameReader, lifetime: Lifetime): Promise<Frame> {
  let message: Frame | undefined;
  return new Promise((resolve, reject) => {
    stream.on('data', (chunk: Buffer) => {
      try {
        for (const next of reader.read(chunk)) {
          if (message) throw protocolError('received extra input message');
          message = next;
        }
      } catch (error) {
        reject(error);
      }
    });
    const complete = () => {
      try {
        // A stream that breaks off ends, too.
        if (stream.aborted) throw clientDisconnected;
        reader.end();
        if (!message) throw protocolError('missing input message');
        resolve(message);
      } catch (error) {
        reject(error);
      }
    };
    // Node ends a stream without data before anybody reads it, so the event may have passed while the key was checked.
    if (stream.readableEnded) complete();
    else stream.once('end', complete);
    lifetime.onEnd(() => reject(clientDisconnected));
  });
}

function protocolError(what: string): ConnectError {
  return new ConnectError(`protocol error: ${what} for unary method`, Code.Unimplemented);
}

/** Reads the messages of a request as they are asked for. Throws when one is malformed or too large, and when the call ends. */
export async function* readMessages(
  stream: ServerHttp2Stream,
  reader: FrameReader,
  lifetime: Lifetime,
): AsyncGenerator<Frame, void, undefined> {
  let wake = () => {};
  let isComplete = stream.readableEnded;
  stream.on('readable', () => wake());
  stream.once('end', () => {
    isComplete = true;
    wake();
  });
  lifetime.onEnd(() => wake());
  for (;;) {
    const chunk: Buffer | null = stream.read();
    if (chunk) yield* reader.read(chunk);
    else if (stream.aborted || lifetime.ended) throw clientDisconnected;
    else if (isComplete) return reader.end();
    else
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
  }
}
