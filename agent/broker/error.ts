import { Code, ConnectError } from '@connectrpc/connect';
import { ErrorInfoSchema } from '../../gen/google/rpc/error_details_pb.ts';

/**
 * The meaning of a failed call. `fenced`: another agent runs with this key. `mismatch`: the key belongs to another cluster.
 * `changed`: the call has to start over. `invalid`: the same request will never be accepted. `refused`: the broker's present state does
 * not allow the call. `exhausted`: the request is too large, or there are too many.
 */
export type BrokerErrorKind =
  | 'fenced'
  | 'mismatch'
  | 'unauthenticated'
  | 'changed'
  | 'missing'
  | 'invalid'
  | 'refused'
  | 'exhausted'
  | 'unavailable';

export class BrokerError extends Error {
  override readonly name = 'BrokerError';
  readonly kind: BrokerErrorKind;

  constructor(kind: BrokerErrorKind, message: string, cause: unknown) {
    super(message, { cause });
    this.kind = kind;
  }
}

/** Turns any error of a call into a BrokerError. */
export function toBrokerError(error: unknown): BrokerError {
  if (error instanceof BrokerError) return error;
  const { code, rawMessage } = ConnectError.from(error);
  return new BrokerError(kindOfError(ConnectError.from(error)), rawMessage || Code[code] || 'no answer', error);
}

function kindOfError(error: ConnectError): BrokerErrorKind {
  const reason = error.findDetails(ErrorInfoSchema)[0]?.reason;
  if (reason === 'STALE_INCARNATION') return 'fenced';
  if (reason === 'CLUSTER_MISMATCH') return 'mismatch';
  switch (error.code) {
    case Code.Unauthenticated:
    case Code.PermissionDenied:
      return 'unauthenticated';
    case Code.Aborted:
      return 'changed';
    case Code.NotFound:
      return 'missing';
    case Code.InvalidArgument:
      return 'invalid';
    case Code.ResourceExhausted:
      return 'exhausted';
    // Without a reason it does not come from the broker. Neither does Unimplemented, which stands for a proxy's 404.
    case Code.FailedPrecondition:
      return reason === undefined ? 'unavailable' : 'refused';
    default:
      return 'unavailable';
  }
}
