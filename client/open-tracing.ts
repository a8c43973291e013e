import type { Tracing, TracingOptions } from './trace.ts';

/**
 * Opens what the standard OTEL_ variables ask for; undefined, and nothing loaded, when they ask for no traces. Throws one clear line
 * when they cannot be followed.
 */
export async function openTracing(
  env: Readonly<Record<string, string | undefined>>,
  options: TracingOptions,
): Promise<Tracing | undefined> {
  const endpoint = env.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT || env.OTEL_EXPORTER_OTLP_ENDPOINT;
  if (!endpoint || env.OTEL_SDK_DISABLED === 'true' || env.OTEL_TRACES_EXPORTER === 'none') return undefined;
  // Heavy, and mostly not wanted.
  const { openOtlp } = await import('./otlp.ts');
  return openOtlp(env, options);
}
