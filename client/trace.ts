/** A span of a trace. */
export interface Span {
  /** W3C header `traceparent` for requests that belong to this span. */
  readonly traceParent: string;
  /** Adds attributes; never secrets or the content of objects. */
  setAttributes(attributes: Attributes): void;
  /** Ends the span; `failure` is the kind of an error, such as "NotFound", and never a message, which may quote secrets. */
  end(failure?: string): void;
}

/** Attributes of a span. */
export type Attributes = Readonly<Record<string, string | number | boolean>>;

/** Options of a new span. */
export interface SpanOptions {
  /** Kind in OpenTelemetry; default internal. */
  readonly kind?: 'internal' | 'client' | 'server';
  /** The parent's `traceparent`; without it a new trace starts. */
  readonly parent?: string;
  /** Milliseconds since 1970; default now. */
  readonly startedAt?: number;
  readonly attributes?: Attributes;
}

/** Records spans and exports them in the background. */
export interface Tracing {
  /** Starts a span. */
  start(name: string, options?: SpanOptions): Span;
  /** Exports the remaining spans, within 3 s. */
  close(): Promise<void>;
}

/** Options of `openTracing`. */
export interface TracingOptions {
  /** Default of OTEL_SERVICE_NAME. */
  readonly service: string;
  readonly version: string;
  /** Called with the reason when exporting starts to fail. */
  readonly onFailure?: (reason: string) => void;
}

/** The standard variables of OpenTelemetry that configure tracing, for help texts and reference pages. */
export const traceVariables = {
  OTEL_EXPORTER_OTLP_ENDPOINT: 'OTLP endpoint that receives traces; without it there are none (default none)',
  OTEL_EXPORTER_OTLP_PROTOCOL: 'http/protobuf or grpc (default http/protobuf)',
  OTEL_EXPORTER_OTLP_HEADERS: 'headers for the receiver, such as a key: name=value, separated by commas (default none)',
  OTEL_SERVICE_NAME: 'name of the service in traces (default brokkr-broker, brokkr-agent, brokkr)',
  OTEL_RESOURCE_ATTRIBUTES: 'attributes of where it runs: name=value, separated by commas (default none)',
  OTEL_TRACES_SAMPLER:
    'sampler of new traces: always_on, always_off, traceidratio, or these with parentbased_ (default parentbased_always_on)',
  OTEL_TRACES_SAMPLER_ARG: 'ratio of traces that traceidratio keeps, from 0 to 1 (default 1)',
  OTEL_SDK_DISABLED: 'true disables tracing (default false)',
} as const;
const traceParentPattern = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/;

/** The parts of a `traceparent`. */
export interface TraceContext {
  readonly traceId: string;
  readonly spanId: string;
  readonly flags: number;
}

/** Parses a `traceparent` (W3C Trace Context, version 00); undefined for anything else. */
export function readTraceParent(text: string | null | undefined): TraceContext | undefined {
  const [, traceId = '', spanId = '', flags = ''] = traceParentPattern.exec(text ?? '') ?? [];
  if (traceId === '' || /^0+$/.test(traceId) || /^0+$/.test(spanId)) return undefined;
  return { traceId, spanId, flags: Number.parseInt(flags, 16) };
}

/** Returns the trace id of a `traceparent`; empty if there is none. */
export function traceIdOf(traceParent: string | undefined): string {
  return readTraceParent(traceParent)?.traceId ?? '';
}
