import { Code, ConnectError } from '@connectrpc/connect';
import { ErrorInfoSchema } from '../../gen/google/rpc/error_details_pb.ts';

/**
 * `fenced`: another agent runs with this key. `mismatch`: the key is another cluster's. `changed`: begin again. `invalid`: never to be
 * sent again. `refused`: not as things are with the broker. `exhausted`: too large, or too much.
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

/** What a failed call means to the agent. */
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
    // Without a reason it is not the broker's word. Nor is Unimplemented, which stands for a 404 of something on the way.
    case Code.FailedPrecondition:
      return reason === undefined ? 'unavailable' : 'refused';
    default:
      return 'unavailable';
  }
}
