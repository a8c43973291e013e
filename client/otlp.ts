import { ROOT_CONTEXT, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
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
import { readTraceParent, type Tracing, type TracingOptions } from './trace.ts';

type Environment = Readonly<Record<string, string | undefined>>;

const closeTimeoutMs = 3_000;
/** A name that a caller chose must not fill the collector. */
const maxAttributeLength = 256;
const spanKinds = { internal: SpanKind.INTERNAL, client: SpanKind.CLIENT, server: SpanKind.SERVER } as const;

/** Sends spans by OTLP, in batches; endpoint, headers, time limits and certificates are read by the exporter from OTEL_ variables. */
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
    start(name, { kind = 'internal', parent, startedAt, attributes } = {}) {
      const above = readTraceParent(parent);
      const context = above
        ? trace.setSpanContext(ROOT_CONTEXT, {
            traceId: above.traceId,
            spanId: above.spanId,
            traceFlags: above.flags,
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
        setAttributes: (more) => void span.setAttributes({ ...more }),
        end(failure) {
          if (failure !== undefined) {
            span.setStatus({ code: SpanStatusCode.ERROR });
            span.setAttribute('error.type', failure);
          }
          span.end();
        },
      };
    },
    async close() {
      const late = Promise.withResolvers<void>();
      const timer = setTimeout(late.resolve, closeTimeoutMs);
      await Promise.race([provider.shutdown().catch(() => {}), late.promise]);
      clearTimeout(timer);
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

/** The same exporter; that it fails is told when that begins. */
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

/** As the specification of the OpenTelemetry SDK has them. */
function readSampler(env: Environment): Sampler {
  const name = env.OTEL_TRACES_SAMPLER || 'parentbased_always_on';
  const root = name.replace(/^parentbased_/, '');
  const samplers: Readonly<Record<string, () => Sampler>> = {
    always_on: () => new AlwaysOnSampler(),
    always_off: () => new AlwaysOffSampler(),
    traceidratio: () => new TraceIdRatioBasedSampler(readSamplingRatio(env.OTEL_TRACES_SAMPLER_ARG)),
  };
  const make = samplers[root];
  if (!make) throw new Error(`OTEL_TRACES_SAMPLER: "${name}" is not a sampler`);
  return root === name ? make() : new ParentBasedSampler({ root: make() });
}

function readSamplingRatio(text: string | undefined): number {
  const share = Number(text || 1);
  if (share >= 0 && share <= 1) return share;
  throw new Error(`OTEL_TRACES_SAMPLER_ARG: "${text}" is not a number from 0 to 1`);
}

/** How long spans wait for company, in milliseconds. */
function readBatchOptions({ OTEL_BSP_SCHEDULE_DELAY: text }: Environment): { scheduledDelayMillis?: number } {
  const delay = Number(text || Number.NaN);
  return delay > 0 ? { scheduledDelayMillis: delay } : {};
}
