import { once } from 'node:events';
import * as http from 'node:http';
import * as http2 from 'node:http2';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { BinaryReader } from '@bufbuild/protobuf/wire';

/** A span that a receiver of traces was sent. */
export interface ReceivedSpan {
  readonly service: string;
  readonly name: string;
  readonly traceId: string;
  readonly spanId: string;
  /** Empty for the root of a trace. */
  readonly parentId: string;
  readonly attributes: Readonly<Record<string, string>>;
}

/** An OpenTelemetry collector for both protocols of OTLP. */
export interface OtlpReceiver {
  /** For `http/protobuf`. */
  readonly url: string;
  /** For `grpc`. */
  readonly grpcUrl: string;
  readonly spans: readonly ReceivedSpan[];
  /** All received bytes, headers included, as text. */
  readonly text: () => string;
  close(): Promise<void>;
}

export async function startOtlpReceiver(): Promise<OtlpReceiver> {
  const spans: ReceivedSpan[] = [];
  const bytes: Buffer[] = [];
  const take = (headers: http.IncomingHttpHeaders, body: Buffer) => {
    bytes.push(Buffer.from(JSON.stringify(headers)), body);
    spans.push(...readRequest(body));
  };
  const plain = http.createServer(async (request, response) => {
    take(request.headers, await buffer(request));
    response.writeHead(200, { 'content-type': 'application/x-protobuf' }).end();
  });
  const grpc = http2.createServer();
  grpc.on('stream', async (stream, headers) => {
    stream.on('error', () => {});
    const framed = await buffer(stream);
    // The message follows a compression flag and its length.
    take(headers, framed.subarray(5));
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
    stream.end(Buffer.alloc(5));
  });
  const sessions = new Set<http2.ServerHttp2Session>();
  grpc.on('session', (session) => sessions.add(session));
  const urls: string[] = [];
  for (const server of [plain, grpc]) {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    urls.push(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  }
  const [url = '', grpcUrl = ''] = urls;
  return {
    url,
    grpcUrl,
    spans,
    text: () => Buffer.concat(bytes).toString('latin1'),
    async close() {
      for (const session of sessions) session.destroy();
      plain.closeAllConnections();
      await Promise.all([plain, grpc].map((server) => new Promise((ended) => server.close(ended))));
    },
  };
}

type Field = readonly [number: number, bytes: Buffer];

/** Reads the fields of a message that are bytes, text or messages; numbers are skipped. */
function fieldsOf(bytes: Uint8Array): Field[] {
  const reader = new BinaryReader(bytes);
  const fields: Field[] = [];
  while (reader.pos < reader.len) {
    const [number, type] = reader.tag();
    if (type === 2) fields.push([number, Buffer.from(reader.bytes())]);
    else reader.skip(type, number);
  }
  return fields;
}

const all = (fields: readonly Field[], number: number) =>
  fields.filter(([found]) => found === number).map(([, bytes]) => bytes);
const one = (fields: readonly Field[], number: number) => all(fields, number)[0] ?? Buffer.alloc(0);

/** Reads an ExportTraceServiceRequest of opentelemetry/proto/collector/trace/v1. */
function readRequest(body: Buffer): ReceivedSpan[] {
  return all(fieldsOf(body), 1).flatMap((ofResource) => {
    const resource = fieldsOf(ofResource);
    const service = attributesOf(fieldsOf(one(resource, 1)), 1)['service.name'] ?? '';
    return all(resource, 2).flatMap((ofScope) =>
      all(fieldsOf(ofScope), 2).map((bytes) => {
        const span = fieldsOf(bytes);
        return {
          service,
          name: one(span, 5).toString(),
          traceId: one(span, 1).toString('hex'),
          spanId: one(span, 2).toString('hex'),
          parentId: one(span, 4).toString('hex'),
          attributes: attributesOf(span, 9),
        };
      }),
    );
  });
}

function attributesOf(fields: readonly Field[], number: number): Record<string, string> {
  return Object.fromEntries(
    all(fields, number).map((bytes) => {
      const pair = fieldsOf(bytes);
      return [one(pair, 1).toString(), one(fieldsOf(one(pair, 2)), 1).toString()];
    }),
  );
}
