import { Code, ConnectError } from '@connectrpc/connect';
import { BadRequestSchema, ErrorInfoSchema } from '../../gen/google/rpc/error_details_pb.ts';
import { type ExitCode, Failure } from '../output/failure.ts';
import { sanitize } from '../output/sanitize.ts';
import { connectionFailure } from './connection-failure.ts';
import { describePatterns } from './patterns.ts';

/** The lines to print about an error, and the exit code. */
export interface ErrorReport {
  readonly lines: readonly string[];
  readonly exitCode: ExitCode;
}

const maxListedViolations = 20;

/** Explains an error in lines for the user: what is wrong, then what to do about it. */
export function explainError(error: unknown): ErrorReport {
  if (error instanceof Failure) return toReport(error.message, error.hint, error.exitCode, error.cause);
  if (error instanceof ConnectError) return reportRpcError(error);
  // Errors of the system have a code. Any other error is a defect, whose stack helps to fix it.
  const { code, stack } = error as NodeJS.ErrnoException;
  if (error instanceof Error) return toReport(code === undefined ? (stack ?? error.message) : error.message);
  return toReport(String(error));
}

function toReport(message: string, hint?: string, exitCode: ExitCode = 1, cause?: unknown): ErrorReport {
  const causeLines = cause instanceof ConnectError ? [`  ${sanitize(cause.rawMessage)}`] : [];
  return { lines: [`error: ${message}`, ...causeLines, ...(hint === undefined ? [] : [`  ${hint}`])], exitCode };
}

function reportRpcError(error: ConnectError): ErrorReport {
  const violations = fieldViolations(error);
  const hint = hintFor(error);
  if (violations.length > 1) {
    const lines = violations.slice(0, maxListedViolations).map((violation) => `  ${violationText(violation)}`);
    return {
      lines: [`error: ${violations.length} fields are invalid`, ...lines, ...(hint ? [`  ${hint}`] : [])],
      exitCode: 1,
    };
  }
  return toReport(rpcMessage(error, violations[0]), hint);
}

function rpcMessage(error: ConnectError, violation: Violation | undefined): string {
  const failure = connectionFailure(error);
  if (failure) return sanitize(failure.message);
  if (errorReason(error) === 'EMPTY_MANIFEST') return 'the submission has no objects, which would remove everything';
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

function hintFor(error: ConnectError): string | undefined {
  switch (errorReason(error)) {
    case 'NOT_REGISTERED':
      return 'an admin can run: brokkr register AGENT GENERATOR';
    case 'NAME_TAKEN':
      return 'choose another name, or change the existing one: brokkr update --help';
    case 'NOT_PLACED':
      return 'for the reason: brokkr explain STACK AGENT';
    case 'HAS_DEPENDANTS':
      return 'remove the dependency with: brokkr update stack NAME --no-depends-on';
    case 'GENERATION_CHANGED':
      return 'see the current state: brokkr get placements';
    case 'EMPTY_MANIFEST':
      return 'to remove everything, add --allow-empty';
    case 'AMBIGUOUS_NAME':
      return 'use GENERATOR/NAME';
  }
  const failure = connectionFailure(error);
  if (failure) return failure.hint;
  switch (error.code) {
    case Code.Unauthenticated:
      return 'run: brokkr login   (or check BROKKR_PAK)';
    case Code.PermissionDenied:
      return 'brokkr whoami shows whose key this is';
    case Code.DeadlineExceeded:
      return 'the broker did not answer in time but may have made the change: check before you retry';
    case Code.Aborted:
      return 'it was changed in the meantime: check the current state, then retry';
    case Code.Internal:
    case Code.Unknown:
      return "see the broker's log for details";
    default:
      return undefined;
  }
}

/** A field of the request that the broker rejected. */
export interface Violation {
  readonly field: string;
  readonly description: string;
}

/** Reads the invalid fields from the error details of the broker. */
export function fieldViolations(error: ConnectError): readonly Violation[] {
  return error.findDetails(BadRequestSchema).flatMap((detail) => detail.fieldViolations);
}
