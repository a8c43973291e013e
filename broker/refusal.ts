/** The reason a call is refused: the name of its gRPC status code (grpc.io, status codes), as the Connect protocol spells it. */
export type RefusalKind =
  | 'invalid_argument'
  | 'not_found'
  | 'already_exists'
  /** The resource was changed meanwhile: read it again, then retry. */
  | 'aborted'
  | 'failed_precondition'
  | 'permission_denied'
  | 'unauthenticated'
  | 'resource_exhausted'
  | 'unavailable';

export interface RefusalDetails {
  /** The request's field that is to blame, as it is spelled in the contract. */
  readonly field?: string;
  /** For programs: UPPER_SNAKE_CASE, stable. */
  readonly reason?: string;
  /** When more than one thing is wrong; `field` is then left out. The first 20 are kept. */
  readonly violations?: readonly Violation[];
  readonly cause?: unknown;
}

export interface Violation {
  readonly field: string;
  readonly description: string;
}

const maxViolations = 20;

/** An answer that a caller is meant to read: everything else that is thrown is a defect, and stays in the log. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly kind: RefusalKind;
  readonly reason: string | undefined;
  readonly violations: readonly Violation[];

  constructor(kind: RefusalKind, message: string, details: RefusalDetails = {}) {
    super(message, { cause: details.cause });
    this.kind = kind;
    this.reason = details.reason;
    const only = details.field === undefined ? [] : [{ field: details.field, description: message }];
    this.violations = details.violations?.slice(0, maxViolations) ?? only;
  }
}

/** After words about the first of several: how many more there are. */
export function andMore(list: readonly unknown[]): string {
  return list.length > 1 ? ` (and ${list.length - 1} more)` : '';
}

/** For calls that a broker which goes away does not take any more, or ends. */
export function closingRefusal(): Refusal {
  return new Refusal('unavailable', 'the broker is closing: connect again');
}

/** For calls that need a database which is gone, or too slow. */
export function silentDatabase(): Refusal {
  return new Refusal('unavailable', 'the database does not answer: try again');
}
