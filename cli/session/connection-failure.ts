import { Code, ConnectError } from '@connectrpc/connect';

/** Explains a call that did not reach the broker, with a cure. */
export interface ConnectionFailure {
  readonly message: string;
  readonly hint: string;
}

const servers = new WeakMap<ConnectError, string>();

/** Remembers the address that a failed call was sent to. */
export function rememberServer(reason: unknown, server: string): ConnectError {
  const error = ConnectError.from(reason);
  servers.set(error, server);
  return error;
}

/** Explains the failure of a call that got no answer of the broker; undefined for an answer of the broker itself. */
export function connectionFailure(error: ConnectError): ConnectionFailure | undefined {
  const server = servers.get(error);
  const at = server === undefined ? '' : ` at ${server}`;
  const [, status] = /^HTTP (\d{3})$/.exec(error.rawMessage) ?? [];
  if (status !== undefined) return proxyFailure(status, at);
  const isUnavailable = error.code === Code.Unavailable;
  if (error.isWireError) {
    // The broker says itself why it cannot serve the call.
    return isUnavailable
      ? { message: `the broker${at} is not available: ${error.rawMessage}`, hint: 'try again later' }
      : undefined;
  }
  const known = knownReason(error);
  if (!known && !isUnavailable) return undefined;
  const { reason, hint } = known ?? { reason: error.rawMessage, hint: checkServerOf(server) };
  return { message: `the broker${at} cannot be reached: ${reason}`, hint };
}

/** The broker answers every call with HTTP 200; another status comes from something in front of it, or from another server. */
function proxyFailure(status: string, at: string): ConnectionFailure {
  if (status === '413')
    return {
      message: `a proxy in front of the broker${at} refused the request as too large (HTTP 413)`,
      hint: 'raise its limit to 33 MiB, in nginx: client_max_body_size 33m;',
    };
  const mayPass = ['502', '503', '504'].includes(status);
  return {
    message: `what answers${at} is no broker, or a proxy that does not reach it: HTTP ${status}`,
    hint: mayPass
      ? 'check the proxy and that the broker is running'
      : 'check the address, and that the proxy passes gRPC',
  };
}

interface Reason {
  readonly reason: string;
  readonly hint: string;
}

const checkServer = 'check that the broker is running and that --server is correct';

/** Errors that TLS and the system report, by code and message. */
const reasons: readonly (readonly [code: RegExp, reason: string, hint: string])[] = [
  [/^ECONNREFUSED /, 'connection refused', checkServer],
  [/^(ENOTFOUND|EAI_AGAIN) /, 'host not found', checkServer],
  [/^(ETIMEDOUT|EHOSTUNREACH|ENETUNREACH) /, 'no answer', checkServer],
  [
    /WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG|ERR_SSL_HTTP_REQUEST|before secure TLS/,
    'it speaks no TLS',
    'use http:// in --server, or the port that has TLS',
  ],
  [
    /SELF_SIGNED_CERT|UNABLE_TO_(VERIFY_LEAF|GET_ISSUER)/,
    'its certificate is signed by an authority that this system does not trust',
    'name the file with the certificates of that authority: --ca-file',
  ],
  [/^CERT_HAS_EXPIRED /, 'its certificate has expired', 'renew the certificate of the broker'],
  [
    /^ERR_TLS_CERT_ALTNAME_INVALID /,
    'its certificate is for another host name',
    'use a name of the certificate in --server',
  ],
  [
    /ALERT_CERTIFICATE_REQUIRED|ALERT_HANDSHAKE_FAILURE/,
    'it asks for a client certificate',
    'name the files of one and of its key: --cert-file and --key-file',
  ],
  [
    /ALERT_(UNKNOWN_CA|BAD_CERTIFICATE|CERTIFICATE_(EXPIRED|UNKNOWN|REVOKED)|ACCESS_DENIED)/,
    'it does not accept the client certificate',
    'check --cert-file and --key-file',
  ],
];

function checkServerOf(server: string | undefined): string {
  return server?.startsWith('http:') ? `${checkServer}; for a broker with TLS use https://` : checkServer;
}

/** Finds the reason of a failed connection, which is nested several causes deep. */
function knownReason(error: ConnectError): Reason | undefined {
  for (let cause: unknown = error; cause instanceof Error; cause = nextCause(cause)) {
    const { code, message } = cause as NodeJS.ErrnoException;
    const found = reasons.find(([pattern]) => typeof code === 'string' && pattern.test(`${code} ${message}`));
    if (found) return { reason: found[1], hint: found[2] };
  }
  return undefined;
}

function nextCause(error: Error): unknown {
  return error instanceof AggregateError ? error.errors[0] : error.cause;
}
