import { isRecord, type KindId, listAt, nameOf, type ObjectId, textAt } from '../object/kube-object.ts';

const maxMessage = 1_000;
/** Answers that can quote the object that was sent. */
const quoting: ReadonlySet<number> = new Set([400, 403, 409, 422, 500]);
/** The API server's own, which are safe to pass on even about a Secret. */
const ownWords =
  /^secrets(?: "[^"]*")? is forbidden: User "[^"]*" cannot \w+ resource "secrets" in API group ""(?: in the namespace "[^"]*"| at the cluster scope)?|^admission webhook "[^"]*" does not support dry run$/;

/**
 * The Kubernetes API refused or did not answer. The message has the API server's words, but never an object's content: what it says
 * about a Secret's fields is cut down to their paths.
 */
export class ClusterError extends Error {
  override readonly name = 'ClusterError';
  /** HTTP status; 0 when there was no answer. */
  readonly status: number;
  /** The Status object's reason, such as `Conflict`; `Unreachable` without an answer. */
  readonly reason: string;
  /** Unset for a request that concerns no single object. */
  readonly object: ObjectId | undefined;
  /** True for a 404 that is about a kind the server does not serve, not about an object. */
  readonly unknownKind: boolean;

  constructor(
    message: string,
    more: { status: number; reason: string; object?: ObjectId | undefined; unknownKind?: boolean; cause?: unknown },
  ) {
    super(message, { cause: more.cause });
    this.status = more.status;
    this.reason = more.reason;
    this.object = more.object;
    this.unknownKind = more.unknownKind ?? false;
  }
}

/** No answer, or a passing trouble of the server: what is left of a pass would fail as well. */
export function isUnreachable(error: unknown): boolean {
  return error instanceof ClusterError && error.status === 0;
}

export function hasStatus(error: unknown, status: number): boolean {
  return error instanceof ClusterError && error.status === status;
}

/** A webhook that cannot be asked in a dry run makes the server answer 400 with these words. */
export function refusesDryRun(error: unknown): boolean {
  return error instanceof ClusterError && error.status === 400 && /does not support dry run/i.test(error.message);
}

/**
 * The object was applied in another version of its kind, whose schema lacks a field that is applied now: the server compares the two
 * in the old version, and cannot.
 */
export function refusesVersion(error: unknown): boolean {
  return error instanceof ClusterError && /convert merged object to last applied version/.test(error.message);
}

export function unreachable(cause: unknown, object: ObjectId | undefined): ClusterError {
  const code =
    isRecord(cause) && typeof cause.code === 'string'
      ? cause.code
      : cause instanceof Error
        ? cause.message
        : String(cause);
  return new ClusterError(`no answer from the Kubernetes API: ${code}`, {
    status: 0,
    reason: 'Unreachable',
    object,
    cause,
  });
}

/** The server has no such kind; `object` is what it was asked about, if that was a single one. */
export function unserved(kind: KindId, object?: ObjectId): ClusterError {
  return new ClusterError(unservedText(kind), { status: 404, reason: 'NotFound', object, unknownKind: true });
}

export function unservedText({ apiVersion, kind }: KindId): string {
  return `the cluster serves no ${kind} of ${apiVersion}`;
}

/** Turns a refusal into an error; `body` is the text that came with it, mostly a Status object. */
export function refusal(status: number, body: string, object: ObjectId | undefined): ClusterError {
  const answer = parse(body);
  const isStatus = textAt(answer, 'kind') === 'Status';
  const reason = textAt(answer, 'reason') || `HTTP ${status}`;
  const words = textAt(answer, 'message') || reason;
  const isWithheld = object?.kind === 'Secret' && (quoting.has(status) || words.startsWith('admission webhook '));
  const message = isWithheld ? (ownWords.exec(words)?.[0] ?? withheld(answer, reason)) : words;
  const unknownKind = status === 404 && (!isStatus || !textAt(answer, 'details', 'name'));
  return new ClusterError(message.slice(0, maxMessage), { status, reason, object, unknownKind });
}

/** The error's words, with the object they are about. */
export function errorMessage(error: unknown): string {
  if (error instanceof ClusterError && error.object) return `${nameOf(error.object)}: ${error.message}`;
  return error instanceof Error ? error.message : String(error);
}

function withheld(answer: unknown, reason: string): string {
  const fields = listAt(answer, 'details', 'causes').flatMap((cause) => textAt(cause, 'field') ?? []);
  return `${reason}${fields.length > 0 ? ` in ${fields.join(', ')}` : ''} (a Secret: details are left out)`;
}

function parse(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}
