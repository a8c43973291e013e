import { Code, ConnectError } from '@connectrpc/connect';
import { BadRequestSchema, ErrorInfoSchema } from '../../gen/google/rpc/error_details_pb.ts';
import { type ExitCode, Failure } from '../output/failure.ts';
import { sanitize } from '../output/output.ts';
import { describePatterns } from './patterns.ts';
import { isUnavailable } from './retry.ts';

export interface ErrorReport {
  readonly lines: readonly string[];
  readonly exitCode: ExitCode;
}

const maxListedViolations = 20;

/** What to print about an error: what is wrong, then what to do hint. */
export function explainError(error: unknown): ErrorReport {
  if (error instanceof Failure) return toReport(error.message, error.hint, error.exitCode, error.cause);
  if (error instanceof ConnectError) return reportRpcError(error);
  // Everything that the system says about files has a code; the rest is a defect, and its place helps to mend it.
  const { code, stack } = error as NodeJS.ErrnoException;
  if (error instanceof Error) return toReport(code === undefined ? (stack ?? error.message) : error.message);
  return toReport(String(error));
}

function toReport(message: string, hint?: string, exitCode: ExitCode = 1, cause?: unknown): ErrorReport {
  const because = cause instanceof ConnectError ? [`  ${sanitize(cause.rawMessage)}`] : [];
  return { lines: [`error: ${message}`, ...because, ...(hint === undefined ? [] : [`  ${hint}`])], exitCode };
}

function reportRpcError(error: ConnectError): ErrorReport {
  const violations = fieldViolations(error);
  const hint = hintFor(error);
  if (violations.length > 1) {
    const lines = violations.slice(0, maxListedViolations).map((violation) => `  ${violationText(violation)}`);
    return {
      lines: [`error: ${violations.length} things are wrong`, ...lines, ...(hint ? [`  ${hint}`] : [])],
      exitCode: 1,
    };
  }
  return toReport(rpcMessage(error, violations[0]), hint);
}

function rpcMessage(error: ConnectError, violation: Violation | undefined): string {
  if (isUnavailable(error, undefined)) return `the broker cannot be reached: ${sanitize(connectionFailure(error))}`;
  if (errorReason(error) === 'EMPTY_MANIFEST') return 'there are no objects, which would remove everything';
  const message = cleanMessage(error.rawMessage);
  return violation === undefined ||
    message.includes(violation.field) ||
    message.includes(cleanMessage(violation.description))
    ? message
    : violationText(violation);
}

function violationText({ field, description }: Violation): string {
  return description.includes(field) ? cleanMessage(description) : `${field}: ${cleanMessage(description)}`;
}

function cleanMessage(text: string): string {
  return describePatterns(sanitize(text));
}

function errorReason(error: ConnectError): string | undefined {
  return error.findDetails(ErrorInfoSchema)[0]?.reason;
}

/** A failed connection's own words are several causes deep. */
function connectionFailure(error: ConnectError): string {
  for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === 'ECONNREFUSED') return 'nothing listens there';
    if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return 'there is no host of that name';
    if (cause instanceof AggregateError)
      return connectionFailure(new ConnectError('', error.code, undefined, undefined, cause.errors[0]));
  }
  return error.code === Code.Unavailable ? error.rawMessage : 'the connection broke';
}

function hintFor(error: ConnectError): string | undefined {
  switch (errorReason(error)) {
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
  if (isUnavailable(error, undefined)) return 'is the broker running, and is --server right?';
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
export function fieldViolations(error: ConnectError): readonly Violation[] {
  return error.findDetails(BadRequestSchema).flatMap((detail) => detail.fieldViolations);
}
