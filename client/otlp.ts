import { ROOT_CONTEXT, SpanKind, SpanStatusCode, type Tracer, trace } from '@opentelemetry/api';
import { detectResources, envDetector, resourceFromAttributes, serviceNameEnvDetector } from '@opentelemetry/resources';
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  BatchSpanProcessor,
  ParentBasedSampler,
  type Sampler,
  type SpanExporter,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from '@opentelemetry/sdk-trace';
import { readTraceParent, type Span, type SpanOptions, type Tracing, type TracingOptions } from './trace.ts';

type Environment = Readonly<Record<string, string | undefined>>;

const closeTimeoutMs = 3_000;
/** Limits names that callers choose. */
const maxAttributeLength = 256;
const spanKinds = { internal: SpanKind.INTERNAL, client: SpanKind.CLIENT, server: SpanKind.SERVER } as const;

/** Opens tracing that exports spans by OTLP in batches. The exporter reads endpoint, headers, timeouts and certificates from OTEL_ variables. */
export async function openOtlp(env: Environment, { service, version, onFailure }: TracingOptions): Promise<Tracing> {
  const sampler = readSampler(env);
  const exporter = reportFirstFailure(await makeExporter(env), onFailure ?? (() => {}));
  const provider = new TracerProvider({
    resource: resourceFromAttributes({ 'service.name': service, 'service.version': version }).merge(
      detectResources({ detectors: [envDetector, serviceNameEnvDetector] }),
    ),
    sampler,
    spanLimits: { attributeValueLengthLimit: maxAttributeLength },
    spanProcessors: [new BatchSpanProcessor({ exporter, ...readBatchOptions(env) })],
  });
  const tracer = provider.getTracer('brokkr', version);
  return {
    start: (name, options) => startSpan(tracer, name, options),
    async close() {
      const timedOut = Promise.withResolvers<void>();
      const timer = setTimeout(timedOut.resolve, closeTimeoutMs);
      await Promise.race([provider.shutdown().catch(() => {}), timedOut.promise]);
      clearTimeout(timer);
    },
  };
}

function startSpan(
  tracer: Tracer,
  name: string,
  { kind = 'internal', parent, startedAt, attributes }: SpanOptions = {},
): Span {
  const parentContext = readTraceParent(parent);
  const context = parentContext
    ? trace.setSpanContext(ROOT_CONTEXT, {
        traceId: parentContext.traceId,
        spanId: parentContext.spanId,
        traceFlags: parentContext.flags,
        isRemote: true,
      })
    : ROOT_CONTEXT;
  const span = tracer.startSpan(
    name,
    {
      kind: spanKinds[kind],
      ...(startedAt !== undefined && { startTime: startedAt }),
      attributes: { ...attributes },
    },
    context,
  );
  const { traceId, spanId, traceFlags } = span.spanContext();
  return {
    traceParent: `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`,
    setAttributes: (added) => void span.setAttributes({ ...added }),
    end(failure) {
      if (failure !== undefined) {
        span.setStatus({ code: SpanStatusCode.ERROR });
        span.setAttribute('error.type', failure);
      }
      span.end();
    },
  };
}

async function makeExporter(env: Environment): Promise<SpanExporter> {
  const protocol =
    env.OTEL_EXPORTER_OTLP_TRACES_PROTOCOL || env.OTEL_EXPORTER_OTLP_PROTOCOL || ('http/protobuf' as const);
  switch (protocol) {
    case 'http/protobuf': {
      const { OTLPTraceExporter } = await import('@opentelemetry/exporter-trace-otlp-proto');
      return new OTLPTraceExporter();
    }
    case 'grpc': {
      const { OTLPTraceExporter } = await import('@opentelemetry/exporter-trace-otlp-grpc');
      return new OTLPTraceExporter();
    }
    default:
      throw new Error(`OTEL_EXPORTER_OTLP_PROTOCOL: "${protocol}" is neither http/protobuf nor grpc`);
  }
}

/** Wraps an exporter so that the first failure is reported, and again only after a success. */
function reportFirstFailure(exporter: SpanExporter, failed: (reason: string) => void): SpanExporter {
  let isFailing = false;
  return {
    export: (spans, done) =>
      exporter.export(spans, (result) => {
        if (result.error && !isFailing) failed(result.error.message);
        isFailing = result.error !== undefined;
        done(result);
      }),
    shutdown: () => exporter.shutdown(),
    ...(exporter.forceFlush && { forceFlush: () => exporter.forceFlush?.() ?? Promise.resolve() }),
  };
}

/** Creates the sampler by the names in the specification of the OpenTelemetry SDK. */
function readSampler(env: Environment): Sampler {
  const name = env.OTEL_TRACES_SAMPLER || 'parentbased_always_on';
  const rootName = name.replace(/^parentbased_/, '');
  const samplers: Readonly<Record<string, () => Sampler>> = {
    always_on: () => new AlwaysOnSampler(),
    always_off: () => new AlwaysOffSampler(),
    traceidratio: () => new TraceIdRatioBasedSampler(readSamplingRatio(env.OTEL_TRACES_SAMPLER_ARG)),
  };
  const createSampler = samplers[rootName];
  if (!createSampler) throw new Error(`OTEL_TRACES_SAMPLER: "${name}" is not a sampler`);
  return rootName === name ? createSampler() : new ParentBasedSampler({ root: createSampler() });
}

function readSamplingRatio(text: string | undefined): number {
  const ratio = Number(text || 1);
  if (ratio >= 0 && ratio <= 1) return ratio;
  throw new Error(`OTEL_TRACES_SAMPLER_ARG: "${text}" is not a number from 0 to 1`);
}

/** Reads how long spans are collected into a batch, in milliseconds. */
function readBatchOptions({ OTEL_BSP_SCHEDULE_DELAY: text }: Environment): { scheduledDelayMillis?: number } {
  const delay = Number(text || Number.NaN);
  return delay > 0 ? { scheduledDelayMillis: delay } : {};
}
