import { type DestinationStream, type Logger, pino } from 'pino';
import type { LogLevel } from '../client/settings.ts';
import { traceIdOf } from '../client/trace.ts';
import { currentCall } from './rpc/call.ts';

/** Creates the broker's log of JSON lines. Lines that are logged during a call have its request id, and its trace id if it has one. */
export function createLog(level: LogLevel, destination?: DestinationStream): Logger {
  return pino(
    {
      level,
      base: undefined,
      timestamp: pino.stdTimeFunctions.isoTime,
      mixin: () => {
        const call = currentCall();
        if (!call) return {};
        const traceId = traceIdOf(call.traceParent);
        return { requestId: call.requestId, ...(traceId !== '' && { traceId }) };
      },
    },
    destination,
  );
}
