/** One step of a trace. */
export interface Span {
  /** Hands the trace on: the W3C header `traceparent` of what this step makes others do. */
  readonly traceParent: string;
  /** Notes more about it; never anything secret, nor what objects contain. */
  setAttributes(attributes: Attributes): void;
  /** With the kind of what went wrong, such as "NotFound": never a message, which may quote what must stay here. */
  end(failure?: string): void;
}

export type Attributes = Readonly<Record<string, string | number | boolean>>;

export interface SpanOptions {
  /** What the step is to others: default internal. */
  readonly kind?: 'internal' | 'client' | 'server';
  /** A `traceparent`; without one a new trace begins. */
  readonly parent?: string;
  /** In milliseconds since 1970; default now. */
  readonly startedAt?: number;
  readonly attributes?: Attributes;
}

/** Takes the steps of traces, and sends them in the background. */
export interface Tracing {
  start(name: string, options?: SpanOptions): Span;
  /** Sends what is left, for 3 s at most. */
  close(): Promise<void>;
}

export interface TracingOptions {
  /** `service.name`, unless OTEL_SERVICE_NAME says another. */
  readonly service: string;
  readonly version: string;
  /** Is told why steps cannot be sent: once, until some can be again. */
  readonly onFailure?: (reason: string) => void;
}

/** The standard variables of OpenTelemetry that turn traces on and shape them, for help texts and documents. */
export const traceVariables = {
  OTEL_EXPORTER_OTLP_ENDPOINT: 'where traces are sent by OTLP; without it there are none (default none)',
  OTEL_EXPORTER_OTLP_PROTOCOL: 'http/protobuf or grpc (default http/protobuf)',
  OTEL_EXPORTER_OTLP_HEADERS:
    'sent along, such as a key of the receiver: name=value, separated by commas (default none)',
  OTEL_SERVICE_NAME: "the service's name in traces (default brokkr-broker, brokkr-agent, brokkr)",
  OTEL_RESOURCE_ATTRIBUTES: 'more about where it runs: name=value, separated by commas (default none)',
  OTEL_TRACES_SAMPLER:
    'which new traces are kept: always_on, always_off, traceidratio, or these with parentbased_ (default parentbased_always_on)',
  OTEL_TRACES_SAMPLER_ARG: 'the share that traceidratio keeps, from 0 to 1 (default 1)',
  OTEL_SDK_DISABLED: 'true turns traces off (default false)',
} as const;
const traceParentPattern = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/;

export interface TraceContext {
  readonly traceId: string;
  readonly spanId: string;
  readonly flags: number;
}

/** Reads a `traceparent` (W3C Trace Context, version 00); undefined for anything else. */
export function readTraceParent(text: string | null | undefined): TraceContext | undefined {
  const [, traceId = '', spanId = '', flags = ''] = traceParentPattern.exec(text ?? '') ?? [];
  if (traceId === '' || /^0+$/.test(traceId) || /^0+$/.test(spanId)) return undefined;
  return { traceId, spanId, flags: Number.parseInt(flags, 16) };
}

/** The trace that a `traceparent` belongs to; empty for none. */
export function traceIdOf(traceParent: string | undefined): string {
  return readTraceParent(traceParent)?.traceId ?? '';
}
