import { ConnectError, type Interceptor } from '@connectrpc/connect';
import { mapErrors } from '../../client/map-errors.ts';

/**
 * Reports calls that failed by a defect of the agent itself, such as a message that cannot be encoded. Retries would hide it: a
 * session that ends and comes back looks like one that a network cuts.
 */
export function defectReporter(report: (method: string, defect: Error) => void): Interceptor {
  return mapErrors((error, { method, signal }) => {
    const defect = signal.aborted ? undefined : findDefect(error);
    if (defect) report(method.name, defect);
    return error;
  });
}

/** Returns the defect among the causes of a failed call; undefined when the broker, the system or the network failed. */
function findDefect(error: unknown): Error | undefined {
  for (let cause = error; cause instanceof Error; cause = cause.cause as unknown) {
    if (cause instanceof TypeError || cause instanceof RangeError || cause instanceof ReferenceError) return cause;
    if (cause instanceof ConnectError && !cause.isWireError && cause.rawMessage.startsWith('serialize ')) return cause;
  }
  return undefined;
}
