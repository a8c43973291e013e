import { Code, ConnectError } from '@connectrpc/connect';
import { BadRequestSchema } from '../../gen/google/rpc/error_details_pb.ts';

/** An error for people: what is wrong, and which fields when the broker named several. */
export interface Told {
  readonly message: string;
  readonly violations: readonly string[];
}

/** Says what went wrong with a call. */
export function tell(error: unknown): Told {
  if (!(error instanceof ConnectError))
    return { message: error instanceof Error ? error.message : String(error), violations: [] };
  const violations = error
    .findDetails(BadRequestSchema)
    .flatMap(({ fieldViolations }) => fieldViolations.map(({ description }) => description));
  if (violations.length > 1) return { message: `${violations.length} things are wrong`, violations };
  return { message: sentence(error), violations: [] };
}

function sentence(error: ConnectError): string {
  if (isUnreachable(error)) return 'The broker cannot be reached. It is tried again.';
  switch (error.code) {
    case Code.PermissionDenied:
      return `Your key may not do this: ${error.rawMessage}`;
    case Code.Aborted:
      return `Somebody else was faster: ${error.rawMessage}. Look again, then try again.`;
    case Code.DeadlineExceeded:
      return 'The broker did not answer in time. It may have done it: look before you try again.';
    default:
      return error.rawMessage.charAt(0).toUpperCase() + error.rawMessage.slice(1);
  }
}

/** Whether there was no answer at all, as far as a browser tells. */
export function isUnreachable(error: unknown): boolean {
  return error instanceof ConnectError && error.cause instanceof TypeError;
}
