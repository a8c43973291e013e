import { Code, ConnectError } from '@connectrpc/connect';
import { BadRequestSchema } from '../../gen/google/rpc/error_details_pb.ts';

/** An error for people: a message, and the invalid fields when the broker named several. */
export interface ErrorSummary {
  readonly message: string;
  readonly violations: readonly string[];
}

/** Summarizes why a call failed. */
export function summarizeError(error: unknown): ErrorSummary {
  if (!(error instanceof ConnectError))
    return { message: error instanceof Error ? error.message : String(error), violations: [] };
  const violations = error
    .findDetails(BadRequestSchema)
    .flatMap(({ fieldViolations }) => fieldViolations.map(({ description }) => description));
  if (violations.length > 1) return { message: `${violations.length} problems`, violations };
  return { message: toSentence(error), violations: [] };
}

function toSentence(error: ConnectError): string {
  if (isUnreachable(error)) return 'The broker cannot be reached. Retrying…';
  switch (error.code) {
    case Code.PermissionDenied:
      return `Your key is not allowed to do this: ${error.rawMessage}`;
    case Code.Aborted:
      return `Somebody else made a change in the meantime: ${error.rawMessage}. Check the current state, then try again.`;
    case Code.DeadlineExceeded:
      return 'The broker did not answer in time. The change may have been made: check before you try again.';
    default:
      return error.rawMessage.charAt(0).toUpperCase() + error.rawMessage.slice(1);
  }
}

/** Returns whether the broker did not answer at all, as far as a browser can tell. */
export function isUnreachable(error: unknown): boolean {
  return error instanceof ConnectError && error.cause instanceof TypeError;
}
