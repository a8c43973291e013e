import type { Interceptor } from '@connectrpc/connect';
import { openTracing } from '../../client/open-tracing.ts';
import manifest from '../../package.json' with { type: 'json' };

/** The trace of one command. */
export interface CommandTrace {
  /** Records each call of the command as a span. */
  readonly interceptor: Interceptor;
  /** Ends the trace and exports it, within 3 s. */
  end(failed: boolean): Promise<void>;
}

/** Starts a trace for a command; undefined unless the environment enables tracing. */
export async function beginTrace(command: string): Promise<CommandTrace | undefined> {
  const tracing = await openTracing(process.env, { service: 'brokkr', version: manifest.version });
  if (!tracing) return undefined;
  const { createTraceInterceptor } = await import('../../client/traced-calls.ts');
  const span = tracing.start(`brokkr ${command}`);
  return {
    interceptor: createTraceInterceptor(tracing, span.traceParent),
    async end(failed) {
      span.end(failed ? 'failed' : undefined);
      await tracing.close();
    },
  };
}
