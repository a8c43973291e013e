import type { IncomingHttpHeaders } from 'node:http2';
import type { DescMethod, DescService } from '@bufbuild/protobuf';
import { type ContextValues, createContextValues, type HandlerContext } from '@connectrpc/connect';
import { remainingTimeMs } from '../interceptors/deadline.ts';
import { LazyLifetime } from '../lifetime.ts';

/**
 * A call of native gRPC, as handlers and interceptors see it: connect-node's context and request in one object. What most calls
 * never look at (signal, headers, URL) is made at the first access.
 */
export class GrpcCall implements HandlerContext {
  readonly protocolName = 'grpc';
  readonly requestMethod = 'POST';
  readonly lifetime = new LazyLifetime();
  readonly values: ContextValues = createContextValues();
  readonly method: DescMethod;
  readonly service: DescService;
  /** Tells interceptors whether `message` is one message or an async iterable of them. */
  readonly stream: boolean;
  message: unknown;
  readonly #headers: IncomingHttpHeaders;
  #requestHeader: Headers | undefined;
  #responseHeader: Headers | undefined;
  #responseTrailer: Headers | undefined;

  constructor(method: DescMethod, headers: IncomingHttpHeaders) {
    this.method = method;
    this.service = method.parent;
    this.stream = method.methodKind !== 'unary';
    this.#headers = headers;
  }

  get contextValues(): ContextValues {
    return this.values;
  }

  get signal(): AbortSignal {
    return this.lifetime.signal;
  }

  get url(): string {
    return `${this.#headers[':scheme'] ?? 'http'}://${this.#headers[':authority'] ?? ''}${this.#headers[':path'] ?? ''}`;
  }

  get header(): Headers {
    return this.requestHeader;
  }

  get requestHeader(): Headers {
    this.#requestHeader ??= toHeaders(this.#headers);
    return this.#requestHeader;
  }

  /** Headers that the handler adds to its response. */
  get responseHeader(): Headers {
    this.#responseHeader ??= new Headers();
    return this.#responseHeader;
  }

  /** Trailers that the handler adds to its response. */
  get responseTrailer(): Headers {
    this.#responseTrailer ??= new Headers();
    return this.#responseTrailer;
  }

  /** The headers and trailers that the handler has added; undefined when it did not ask for them. */
  get added(): { readonly header: Headers | undefined; readonly trailer: Headers | undefined } {
    return { header: this.#responseHeader, trailer: this.#responseTrailer };
  }

  timeoutMs(): number | undefined {
    const remainingMs = remainingTimeMs(this.values);
    return remainingMs === Number.POSITIVE_INFINITY ? undefined : remainingMs;
  }
}

function toHeaders(headers: IncomingHttpHeaders): Headers {
  const entries = Object.entries(headers).flatMap(([name, value]) =>
    name.startsWith(':') || value === undefined ? [] : [value].flat().map((one): [string, string] => [name, one]),
  );
  return new Headers(entries);
}
