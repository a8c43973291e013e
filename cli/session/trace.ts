import type { Interceptor } from '@connectrpc/connect';
import { openTracing } from '../../client/open-tracing.ts';
import manifest from '../../package.json' with { type: 'json' };

/** The trace that one command is. */
export interface CommandTrace {
  /** Makes each call of the command a step of it. */
  readonly interceptor: Interceptor;
  /** Ends and sends it, which takes 3 s at most. */
  end(failed: boolean): Promise<void>;
}

/** Begins a trace for a command, when the environment asks for traces. */
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
