import type { Tracing, TracingOptions } from './trace.ts';

/**
 * Opens tracing as the standard OTEL_ variables configure it; undefined, without loading OpenTelemetry, if they do not enable it.
 * Throws an error with one line for an invalid value.
 */
export async function openTracing(
  env: Readonly<Record<string, string | undefined>>,
  options: TracingOptions,
): Promise<Tracing | undefined> {
  const endpoint = env.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT || env.OTEL_EXPORTER_OTLP_ENDPOINT;
  if (!endpoint || env.OTEL_SDK_DISABLED === 'true' || env.OTEL_TRACES_EXPORTER === 'none') return undefined;
  // OpenTelemetry is slow to load and rarely enabled.
  const { openOtlp } = await import('./otlp.ts');
  return openOtlp(env, options);
}
