/** Why a call is refused. Each kind becomes one gRPC code, in `rpc/errors.ts` and nowhere else. */
export type RefusalKind =
  | 'invalid'
  | 'missing'
  | 'exists'
  /** Somebody else was faster: read again, then try again. */
  | 'conflict'
  | 'precondition'
  | 'forbidden'
  | 'unauthenticated'
  | 'exhausted'
  | 'unavailable';

export interface RefusalDetails {
  /** The request's field that is to blame, as it is spelled in the contract. */
  readonly field?: string;
  /** For programs: UPPER_SNAKE_CASE, stable. */
  readonly reason?: string;
  /** When more than one thing is wrong; `field` is then left out. */
  readonly violations?: readonly Violation[];
  readonly cause?: unknown;
}

export interface Violation {
  readonly field: string;
  readonly description: string;
}

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
    this.violations =
      details.violations ?? (details.field === undefined ? [] : [{ field: details.field, description: message }]);
  }
}

const maxViolations = 20;

/** For what is wrong in several places: `words` tells of the first, how many more there are is added, and the first 20 are the details. */
export function violationsRefusal(
  kind: RefusalKind,
  reason: string,
  violations: readonly Violation[],
  words: (first: Violation) => string,
): Refusal {
  const [first, ...others] = violations;
  if (!first) throw new Error('a refusal of nothing');
  const more = others.length > 0 ? ` (and ${others.length} more)` : '';
  return new Refusal(kind, `${words(first)}${more}`, { reason, violations: violations.slice(0, maxViolations) });
}

/** For calls that a broker which goes away does not take any more, or ends. */
export function closingRefusal(): Refusal {
  return new Refusal('unavailable', 'the broker is closing: connect again');
}

/** For calls that need a database which is gone, or too slow. */
export function silentDatabase(): Refusal {
  return new Refusal('unavailable', 'the database does not answer: try again');
}
