import { displayName, isRecord, type KindId, listAt, type ObjectId, textAt } from '../object/kube-object.ts';

const maxMessageLength = 1_000;
/** Words with which the API server, and rules of custom kinds, refuse the change of a field. */
const immutableWords =
  /immutable|may not (be )?changed?|can ?not (be )?changed?|updates to .* (is|are) forbidden|may not change fields/i;
/** Values quoted by longer messages are left out of them. */
const maxQuoteLength = 300;
/** Statuses of responses that can quote the object that was sent. */
const quotingStatuses: ReadonlySet<number> = new Set([400, 403, 409, 422, 500]);
/** Messages of the API server itself, which quote no content and are safe to pass on even about a Secret. */
const safeMessage =
  /^secrets(?: "[^"]*")? is forbidden: User "[^"]*" cannot \w+ resource "secrets" in API group ""(?: in the namespace "[^"]*"| at the cluster scope)?|^admission webhook "[^"]*" does not support dry run$|^Internal error occurred: failed calling webhook "[^"]*"/;

/** The API server's reason to refuse one field of an object. */
export interface FieldCause {
  /** Reason such as `FieldValueDuplicate`. */
  readonly reason: string;
  /** Path such as `spec.ports[1].name`. */
  readonly field: string;
  /** The server's words, without a value that they quote at length; empty for a Secret. */
  readonly message: string;
  /** True when the field may not be changed, whatever its value. */
  readonly isImmutable: boolean;
}

/**
 * The Kubernetes API refused a request or did not respond. The message quotes the API server, but never an object's content: for a
 * Secret, it is reduced to the paths of the fields.
 */
export class ClusterError extends Error {
  override readonly name = 'ClusterError';
  /** HTTP status; 0 without a response. */
  readonly status: number;
  /** Reason of the Status object, such as `Conflict`; `Unreachable` without a response. */
  readonly reason: string;
  /** Undefined for a request that is not about a single object. */
  readonly object: ObjectId | undefined;
  /** True for a 404 that says that the server does not serve the kind, rather than that the object does not exist. */
  readonly unknownKind: boolean;
  /** The fields that an invalid object was refused for. */
  readonly fieldCauses: readonly FieldCause[];

  constructor(
    message: string,
    more: {
      status: number;
      reason: string;
      object?: ObjectId | undefined;
      unknownKind?: boolean;
      fieldCauses?: readonly FieldCause[];
      cause?: unknown;
    },
  ) {
    super(message, { cause: more.cause });
    this.status = more.status;
    this.reason = more.reason;
    this.object = more.object;
    this.unknownKind = more.unknownKind ?? false;
    this.fieldCauses = more.fieldCauses ?? [];
  }
}

/** Returns whether there was no response, so that the rest of a pass would fail as well. */
export function isUnreachable(error: unknown): boolean {
  return error instanceof ClusterError && error.status === 0;
}

/** Returns whether the error is a ClusterError with this HTTP status. */
export function hasStatus(error: unknown, status: number): boolean {
  return error instanceof ClusterError && error.status === status;
}

/** Returns whether the server rejected a dry run because an admission webhook does not support it. */
export function refusesDryRun(error: unknown): boolean {
  return error instanceof ClusterError && error.status === 400 && /does not support dry run/i.test(error.message);
}

/** Returns whether the server never deletes the object, as the namespace `default`; some distributions have more of these. */
export function refusesAnyDeletion(error: unknown): boolean {
  return error instanceof ClusterError && error.status === 403 && /may not be deleted/i.test(error.message);
}

/**
 * Returns whether an apply failed because the object was applied before in another version of its kind, whose schema lacks a field
 * that is applied now. The server merges the two in the old version, and cannot.
 */
export function refusesVersion(error: unknown): boolean {
  return error instanceof ClusterError && /convert merged object to last applied version/.test(error.message);
}

/** Returns whether the API server refused an object for nothing but changes of fields that may not be changed. */
export function refusesChange(error: unknown): boolean {
  if (!(error instanceof ClusterError) || error.status !== 422) return false;
  return error.fieldCauses.length > 0 && error.fieldCauses.every(({ isImmutable }) => isImmutable);
}

/** Creates the error for a request without a response. */
export function unreachableError(cause: unknown, object: ObjectId | undefined): ClusterError {
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

/** Creates the error for a kind that the server does not serve; `object` is the one that the request was about. */
export function unservedKind(kind: KindId, object?: ObjectId): ClusterError {
  return new ClusterError(unservedText(kind), { status: 404, reason: 'NotFound', object, unknownKind: true });
}

/** Says that the cluster does not serve a kind. */
export function unservedText({ apiVersion, kind }: KindId): string {
  return `the cluster serves no ${kind} of ${apiVersion}`;
}

/** Creates the error for a refusal; `body` is the response's text, usually a Status object. */
export function errorFromResponse(status: number, body: string, object: ObjectId | undefined): ClusterError {
  const details = parseJson(body);
  const isStatus = textAt(details, 'kind') === 'Status';
  const reason = textAt(details, 'reason') || `HTTP ${status}`;
  const serverMessage = textAt(details, 'message') || reason;
  const isWithheld =
    object?.kind === 'Secret' && (quotingStatuses.has(status) || serverMessage.startsWith('admission webhook '));
  const fieldCauses = fieldCausesOf(details, isWithheld);
  const message = isWithheld
    ? (safeMessage.exec(serverMessage)?.[0] ?? fieldPathsOnly(details, reason))
    : withoutDumps(serverMessage, fieldCauses, details);
  const unknownKind = status === 404 && (!isStatus || !textAt(details, 'details', 'name'));
  return new ClusterError(message.slice(0, maxMessageLength), {
    status,
    reason,
    object,
    unknownKind,
    fieldCauses,
  });
}

/** Returns the error's message, preceded by the object that it is about. */
export function errorMessage(error: unknown): string {
  if (error instanceof ClusterError && error.object) return `${displayName(error.object)}: ${error.message}`;
  return error instanceof Error ? error.message : String(error);
}

function fieldCausesOf(status: unknown, isWithheld: boolean): FieldCause[] {
  return listAt(status, 'details', 'causes').flatMap((cause) => {
    const field = textAt(cause, 'field');
    if (field === undefined) return [];
    const message = withoutDump(textAt(cause, 'message') ?? '');
    const isImmutable = immutableWords.test(message);
    return [{ reason: textAt(cause, 'reason') ?? '', field, message: isWithheld ? '' : message, isImmutable }];
  });
}

/** Returns the message; when the server quotes whole values in it, the fields' own sentences instead. */
function withoutDumps(message: string, fieldCauses: readonly FieldCause[], status: unknown): string {
  if (message.length <= maxQuoteLength || fieldCauses.length === 0) return message;
  const [kind, name] = [textAt(status, 'details', 'kind'), textAt(status, 'details', 'name')];
  const sentences = fieldCauses.map((cause) => `${cause.field}: ${cause.message}`);
  return `${kind ?? 'object'} "${name ?? ''}" is invalid: ${sentences.join(', ')}`;
}

/** Returns a field's message without the value that it quotes at length: what matters stands behind the value. */
function withoutDump(message: string): string {
  if (message.length <= maxQuoteLength) return message;
  const quoted = /^([^:{["]*: )[\s\S]*[}\])"']: ?([^{}]*)$/.exec(message);
  return quoted ? `${quoted[1]}(…): ${quoted[2]}` : message;
}

function fieldPathsOnly(status: unknown, reason: string): string {
  const fields = listAt(status, 'details', 'causes').flatMap((cause) => textAt(cause, 'field') ?? []);
  return `${reason}${fields.length > 0 ? ` in ${fields.join(', ')}` : ''} (a Secret: details are left out)`;
}

function parseJson(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}
