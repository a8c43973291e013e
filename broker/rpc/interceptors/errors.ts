import { create } from '@bufbuild/protobuf';
import { Code, ConnectError, type Interceptor } from '@connectrpc/connect';
import type { Logger } from 'pino';
import { mapErrors } from '../../../client/map-errors.ts';
import { BadRequestSchema, ErrorInfoSchema } from '../../../gen/google/rpc/error_details_pb.ts';
import { withoutKeys } from '../../access/pak.ts';
import { Refusal, type RefusalKind, silentDatabase, type Violation } from '../../refusal.ts';
import { sqlState } from '../../store/errors.ts';
import { mapMalformedRequest } from './malformed-request.ts';

type PascalCase<Name extends string> = Name extends `${infer Head}_${infer Tail}`
  ? `${Capitalize<Head>}${PascalCase<Tail>}`
  : Capitalize<Name>;

/** Returns the gRPC code of a refusal. Kinds are the names of codes, so no table maps them; any other name does not compile. */
export function codeOf(kind: RefusalKind): Code {
  const name = kind.replaceAll(/(?:^|_)([a-z])/g, (_, letter: string) => letter.toUpperCase());
  return Code[name as PascalCase<RefusalKind>];
}

/**
 * SQLSTATEs (PostgreSQL, appendix A) of a database that is gone, full, restarting, failing over (read-only, or without the role or the
 * database yet) or has trouble with its disk, and of statements that it cancelled or whose outcome it does not know.
 */
const transientStates = /^(08...|25006|25P0[34]|28...|3D000|4000[13]|40P01|53...|55P03|57014|57P0.|58...)$/;
const socketErrors = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
]);
/** Messages of the database driver, which have no code, for connections that end or cannot be opened in time. */
const driverMessages =
  /^(Connection terminated|Query read timeout|timeout exceeded when trying to connect|Client has encountered a connection error|Cannot use a pool after)/;

/**
 * Translates what a call throws; no other code knows both refusals and gRPC codes. A refusal keeps its message and gets google.rpc
 * details (ErrorInfo, BadRequest); a database that does not answer is UNAVAILABLE; anything else is a defect: INTERNAL, with its
 * cause only in the log.
 */
export function toConnectError(error: unknown, log: Logger, method: string): ConnectError {
  if (error instanceof ConnectError) return mapMalformedRequest(error);
  if (error instanceof Refusal) return fromRefusal(error);
  if (isAbort(error)) return new ConnectError('the call has ended', Code.Canceled);
  if (isUnavailable(error)) {
    log.warn({ method, err: String(error) }, 'the database did not answer');
    return fromRefusal(silentDatabase());
  }
  const description = error instanceof Error ? (error.stack ?? error.message) : String(error);
  log.error({ method, err: withoutKeys(description) }, 'a call failed');
  return new ConnectError('internal error', Code.Internal);
}

/**
 * Limits of an error's size. Errors travel in HTTP/2 trailers, and clients and proxies drop calls whose trailers exceed 8 KiB; a
 * refusal repeats names, map keys and masks that callers choose, so it is truncated.
 */
const maxMessageLength = 1_000;
const maxFieldLength = 200;
const maxDetailsLength = 3_000;

function fromRefusal(refusal: Refusal): ConnectError {
  const error = new ConnectError(truncate(withoutKeys(refusal.message), maxMessageLength), codeOf(refusal.kind));
  if (refusal.reason !== undefined) {
    error.details.push({ desc: ErrorInfoSchema, value: { reason: refusal.reason, domain: 'brokkr' } });
  }
  if (refusal.violations.length > 0) {
    const fieldViolations = violationsThatFit(refusal.violations);
    error.details.push({ desc: BadRequestSchema, value: create(BadRequestSchema, { fieldViolations }) });
  }
  return error;
}

/** Returns the first violations, as many as fit. */
function violationsThatFit(violations: readonly Violation[]): Violation[] {
  const fit: Violation[] = [];
  let remaining = maxDetailsLength;
  for (const violation of violations) {
    const field = truncate(withoutKeys(violation.field), maxFieldLength);
    const description = truncate(withoutKeys(violation.description), maxMessageLength);
    remaining -= Buffer.byteLength(field) + Buffer.byteLength(description) + 8;
    if (remaining < 0 && fit.length > 0) break;
    fit.push({ field, description });
  }
  return fit;
}

/** Truncates to `length` bytes as gRPC writes its message: percent-encoded, so bytes outside plain ASCII count three times. */
function truncate(description: string, length: number): string {
  // An unpaired surrogate cannot be written into a trailer.
  const text = description.toWellFormed();
  let remaining = length;
  let end = 0;
  for (const character of text) {
    remaining -= /[\x20-\x7e]/.test(character) && character !== '%' ? 1 : 3 * Buffer.byteLength(character);
    if (remaining < 0) return `${text.slice(0, end)}…`;
    end += character.length;
  }
  return text;
}

/** Turns what handlers throw, at once or while they stream, into ConnectErrors. */
export function errorInterceptor(log: Logger): Interceptor {
  return mapErrors((error, { method }) => toConnectError(error, log, method.name));
}

function isAbort(error: unknown): boolean {
  return error instanceof Error && error.name === 'AbortError';
}

function isUnavailable(error: unknown): boolean {
  const state = sqlState(error);
  if (state !== undefined) return transientStates.test(state);
  for (let current = error; current instanceof Error; current = current.cause as unknown) {
    const code = (current as NodeJS.ErrnoException).code;
    if ((code !== undefined && socketErrors.has(code)) || driverMessages.test(current.message)) return true;
  }
  return false;
}
