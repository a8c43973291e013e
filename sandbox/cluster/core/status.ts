import type { Kind } from './kinds.ts';
import type { JsonObject } from './object.ts';

const reasons: { readonly [code: number]: string } = {
  400: 'BadRequest',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'NotFound',
  405: 'MethodNotAllowed',
  409: 'Conflict',
  410: 'Expired',
  415: 'UnsupportedMediaType',
  422: 'Invalid',
  429: 'TooManyRequests',
  500: 'InternalError',
  503: 'ServiceUnavailable',
  504: 'Timeout',
};

export interface Cause extends JsonObject {
  reason: string;
  message: string;
  field?: string;
}

/** An error that carries the `Status` object with which a Kubernetes API server answers. */
export class StatusError extends Error {
  override readonly name = 'StatusError';
  readonly code: number;
  readonly status: JsonObject;

  constructor(code: number, message: string, options: { reason?: string; details?: JsonObject } = {}) {
    super(message);
    this.code = code;
    const { reason = reasons[code] ?? 'Unknown', details } = options;
    const failure = { status: 'Failure', message, reason: reason || undefined, details, code };
    this.status = { kind: 'Status', apiVersion: 'v1', metadata: {}, ...failure };
  }
}

export const unknownResource = () =>
  new StatusError(404, 'the server could not find the requested resource', { details: {} });

export const badRequest = (message: string) => new StatusError(400, message);

export const notFound = (kind: Kind, name: string) =>
  new StatusError(404, `${kind.title} "${name}" not found`, { details: detailsOf(kind, name) });

export const alreadyExists = (kind: Kind, name: string) =>
  new StatusError(409, `${kind.title} "${name}" already exists`, {
    reason: 'AlreadyExists',
    details: detailsOf(kind, name),
  });

export const conflict = (kind: Kind, name: string, reason: string) =>
  new StatusError(409, `Operation cannot be fulfilled on ${kind.title} "${name}": ${reason}`, {
    details: detailsOf(kind, name),
  });

export const stale = (kind: Kind, name: string) =>
  conflict(kind, name, 'the object has been modified; please apply your changes to the latest version and try again');

export const forbidden = (kind: Kind, name: string, reason: string, causes?: Cause[]) =>
  new StatusError(403, `${kind.title}${name ? ` "${name}"` : ''} is forbidden: ${reason}`, {
    details: { ...detailsOf(kind, name), causes },
  });

export const applyConflict = (message: string, causes: Cause[]) =>
  new StatusError(409, message, { details: { causes } });

/** Builds an Invalid error. Each cause has the message of kube-apiserver, e.g. `Required value`. */
export function invalid(kind: Kind, name: string, causes: Cause[]): StatusError {
  const list = causes.map(({ field, message }) => `${field}: ${message}`);
  const text = list.length === 1 ? list[0] : `[${list.join(', ')}]`;
  const title = kind.group ? `${kind.kind}.${kind.group}` : kind.kind;
  return new StatusError(422, `${title} "${name}" is invalid: ${text}`, {
    details: { name, group: kind.group || undefined, kind: kind.kind, causes },
  });
}

function detailsOf(kind: Kind, name: string): JsonObject {
  return { name: name || undefined, group: kind.group || undefined, kind: kind.plural };
}
