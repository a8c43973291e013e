import { Code, ConnectError } from '@connectrpc/connect';
import { BadRequestSchema, ErrorInfoSchema } from '../../gen/google/rpc/error_details_pb.ts';
import { type ExitCode, Failure } from '../output/failure.ts';
import { printable } from '../output/output.ts';
import { withoutPatterns } from './patterns.ts';
import { isUnanswered } from './retry.ts';

export interface Explanation {
  readonly lines: readonly string[];
  readonly exitCode: ExitCode;
}

const listedViolations = 20;

/** What to print about an error: what is wrong, then what to do next. */
export function explain(error: unknown): Explanation {
  if (error instanceof Failure) return told(error.message, error.next, error.exitCode, error.cause);
  if (error instanceof ConnectError) return refused(error);
  // Everything that the system says about files has a code; the rest is a defect, and its place helps to mend it.
  const { code, stack } = error as NodeJS.ErrnoException;
  if (error instanceof Error) return told(code === undefined ? (stack ?? error.message) : error.message);
  return told(String(error));
}

function told(message: string, next?: string, exitCode: ExitCode = 1, cause?: unknown): Explanation {
  const because = cause instanceof ConnectError ? [`  ${printable(cause.rawMessage)}`] : [];
  return { lines: [`error: ${message}`, ...because, ...(next === undefined ? [] : [`  ${next}`])], exitCode };
}

function refused(error: ConnectError): Explanation {
  const violations = violationsOf(error);
  const next = nextStep(error);
  if (violations.length > 1) {
    const lines = violations.slice(0, listedViolations).map((violation) => `  ${violationText(violation)}`);
    return {
      lines: [`error: ${violations.length} things are wrong`, ...lines, ...(next ? [`  ${next}`] : [])],
      exitCode: 1,
    };
  }
  return told(messageOf(error, violations[0]), next);
}

function messageOf(error: ConnectError, violation: Violation | undefined): string {
  if (isUnanswered(error, undefined)) return `the broker cannot be reached: ${printable(reasonOf(error))}`;
  if (reasonIn(error) === 'EMPTY_MANIFEST') return 'there are no objects, which would remove everything';
  const message = said(error.rawMessage);
  return violation === undefined || message.includes(violation.field) || message.includes(said(violation.description))
    ? message
    : violationText(violation);
}

function violationText({ field, description }: Violation): string {
  return description.includes(field) ? said(description) : `${field}: ${said(description)}`;
}

function said(text: string): string {
  return withoutPatterns(printable(text));
}

function reasonIn(error: ConnectError): string | undefined {
  return error.findDetails(ErrorInfoSchema)[0]?.reason;
}

/** A failed connection's own words are several causes deep. */
function reasonOf(error: ConnectError): string {
  for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === 'ECONNREFUSED') return 'nothing listens there';
    if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return 'there is no host of that name';
    if (cause instanceof AggregateError)
      return reasonOf(new ConnectError('', error.code, undefined, undefined, cause.errors[0]));
  }
  return error.code === Code.Unavailable ? error.rawMessage : 'the connection broke';
}

function nextStep(error: ConnectError): string | undefined {
  switch (reasonIn(error)) {
    case 'NOT_REGISTERED':
      return 'an admin can run: brokkr register AGENT GENERATOR';
    case 'NAME_TAKEN':
      return 'take another name, or change what is there: brokkr update --help';
    case 'NOT_PLACED':
      return 'brokkr explain STACK AGENT says why not';
    case 'HAS_DEPENDANTS':
      return 'brokkr update stack NAME --no-depends-on takes that away';
    case 'GENERATION_CHANGED':
      return 'look with: brokkr get placements';
    case 'EMPTY_MANIFEST':
      return 'say --allow-empty if everything is to be removed';
    case 'AMBIGUOUS_NAME':
      return 'write it as GENERATOR/NAME';
  }
  if (isUnanswered(error, undefined)) return 'is the broker running, and is --server right?';
  switch (error.code) {
    case Code.Unauthenticated:
      return 'run: brokkr login   (or check BROKKR_PAK)';
    case Code.PermissionDenied:
      return 'brokkr whoami says whose key this is';
    case Code.DeadlineExceeded:
      return 'the broker did not answer in time; it may have done it: look before you try again';
    case Code.Aborted:
      return 'somebody else was faster: look again, then try again';
    case Code.Internal:
    case Code.Unknown:
      return "the broker's log tells more";
    default:
      return undefined;
  }
}

export interface Violation {
  readonly field: string;
  readonly description: string;
}

/** Which fields were wrong, as the broker's error details say. */
export function violationsOf(error: ConnectError): readonly Violation[] {
  return error.findDetails(BadRequestSchema).flatMap((detail) => detail.fieldViolations);
}
