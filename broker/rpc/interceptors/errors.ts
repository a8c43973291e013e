import { create } from '@bufbuild/protobuf';
import { Code, ConnectError, type Interceptor } from '@connectrpc/connect';
import type { Logger } from 'pino';
import { mapErrors } from '../../../client/map-errors.ts';
import { BadRequestSchema, ErrorInfoSchema } from '../../../gen/google/rpc/error_details_pb.ts';
import { withoutKeys } from '../../access/pak.ts';
import { Refusal, type RefusalKind, silentDatabase, type Violation } from '../../refusal.ts';
import { sqlState } from '../../store/orm.ts';
import { readableError } from './malformed-request.ts';

type PascalCase<Name extends string> = Name extends `${infer Head}_${infer Tail}`
  ? `${Capitalize<Head>}${PascalCase<Tail>}`
  : Capitalize<Name>;

/** Returns the gRPC code of a refusal. Kinds are the names of codes, so no table maps them; any other name does not compile. */
export function codeOf(kind: RefusalKind): Code {
  const name = kind.replaceAll(/(?:^|_)([a-z])/g, (_, letter: string) => letter.toUpperCase());
  return Code[name as PascalCase<RefusalKind>];
}

/** SQLSTATEs of a database that is gone, full or restarting (PostgreSQL, appendix A), and of statements that it gave up. */
const passing = /^(08...|57P0.|53...|57014|25P0[34]|40001|40P01|55P03)$/;
const socketErrors = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
]);
/** What the database driver says, without a code, when a connection ends or cannot be had in time. */
const driverWords =
  /^(Connection terminated|Query read timeout|timeout exceeded when trying to connect|Client has encountered a connection error|Cannot use a pool after)/;

/**
 * The only place that knows both refusals and gRPC codes. A refusal keeps its words and gets google.rpc details (ErrorInfo,
 * BadRequest); a database that does not answer is UNAVAILABLE; anything else is a defect: INTERNAL, its cause only in the log.
 */
export function toConnectError(error: unknown, log: Logger, method: string): ConnectError {
  if (error instanceof ConnectError) return readableError(error);
  if (error instanceof Refusal) return fromRefusal(error);
  if (isAbort(error)) return new ConnectError('the call has ended', Code.Canceled);
  if (isUnavailable(error)) {
    log.warn({ method, err: String(error) }, 'the database did not answer');
    return fromRefusal(silentDatabase());
  }
  const told = error instanceof Error ? (error.stack ?? error.message) : String(error);
  log.error({ method, err: withoutKeys(told) }, 'a call failed');
  return new ConnectError('internal error', Code.Internal);
}

/**
 * An error travels in HTTP/2 trailers, and clients and proxies drop calls whose trailers are above 8 KiB: callers choose names, map
 * keys and masks that a refusal repeats, so what does not fit is cut or left out.
 */
const messageLength = 1_000;
const fieldLength = 200;
const detailsLength = 3_000;

function fromRefusal(refusal: Refusal): ConnectError {
  const error = new ConnectError(cut(withoutKeys(refusal.message), messageLength), codeOf(refusal.kind));
  if (refusal.reason !== undefined) {
    error.details.push({ desc: ErrorInfoSchema, value: { reason: refusal.reason, domain: 'brokkr' } });
  }
  if (refusal.violations.length > 0) {
    const fieldViolations = fitting(refusal.violations);
    error.details.push({ desc: BadRequestSchema, value: create(BadRequestSchema, { fieldViolations }) });
  }
  return error;
}

/** The first violations, as many as fit. */
function fitting(violations: readonly Violation[]): Violation[] {
  const fit: Violation[] = [];
  let room = detailsLength;
  for (const violation of violations) {
    const field = cut(withoutKeys(violation.field), fieldLength);
    const description = cut(withoutKeys(violation.description), messageLength);
    room -= Buffer.byteLength(field) + Buffer.byteLength(description) + 8;
    if (room < 0 && fit.length > 0) break;
    fit.push({ field, description });
  }
  return fit;
}

/** At most `length` bytes, which count thrice when they are not plain: gRPC percent-encodes its message. */
function cut(told: string, length: number): string {
  // Half a surrogate pair cannot be written into a trailer.
  const text = told.toWellFormed();
  let room = length;
  let end = 0;
  for (const character of text) {
    room -= /[\x20-\x7e]/.test(character) && character !== '%' ? 1 : 3 * Buffer.byteLength(character);
    if (room < 0) return `${text.slice(0, end)}…`;
    end += character.length;
  }
  return text;
}

/** Outermost of the interceptors that see errors: turns what handlers throw, at once or while they stream, into ConnectErrors. */
export function errorInterceptor(log: Logger): Interceptor {
  return mapErrors((error, { method }) => toConnectError(error, log, method.name));
}

function isAbort(error: unknown): boolean {
  return error instanceof Error && error.name === 'AbortError';
}

function isUnavailable(error: unknown): boolean {
  const state = sqlState(error);
  if (state !== undefined) return passing.test(state);
  for (let current = error; current instanceof Error; current = current.cause as unknown) {
    const code = (current as NodeJS.ErrnoException).code;
    if ((code !== undefined && socketErrors.has(code)) || driverWords.test(current.message)) return true;
  }
  return false;
}
