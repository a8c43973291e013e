import { createHash, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createSecureContext, type SecureContextOptions } from 'node:tls';
import type { Logger } from 'pino';
import { ConfigError } from '../../../client/settings.ts';
import type { Config } from '../../config.ts';

const checkIntervalMs = 5_000;

/** Reads certificate, key and client CA. Throws ConfigError with the file's name when one cannot be read or they do not match. */
export function readCertificates(tls: NonNullable<Config['tls']>): SecureContextOptions {
  const context = {
    cert: readFileSync(tls.certFile),
    key: readFileSync(tls.keyFile),
    ...(tls.clientCaFile !== undefined && { ca: readFileSync(tls.clientCaFile) }),
  };
  try {
    createSecureContext(context);
  } catch (error) {
    throw new ConfigError(
      `certificate ${tls.certFile} and key ${tls.keyFile} cannot be used: ${(error as Error).message}`,
    );
  }
  if (context.ca) checkAuthority(context.ca, tls.clientCaFile ?? '');
  return context;
}

/** Throws when the CA is no certificate: Node accepts any text as a CA, and then rejects every client. */
function checkAuthority(pem: Buffer, file: string): void {
  try {
    new X509Certificate(pem);
  } catch (error) {
    throw new ConfigError(`client authority ${file} cannot be used: ${(error as Error).message}`);
  }
}

export interface Certificates {
  /** Returns the expiry of the certificate in use, in milliseconds since 1970. */
  expiresAt(): number;
  /** Checks the files now. */
  check(): void;
  stop(): void;
}

/**
 * Checks the files every 5 s and calls `renew` when they changed. It compares contents, not times: a mounted Secret is swapped by a
 * symbolic link. While the files do not match each other, the old ones stay in use and the error is logged once.
 */
export function watchCertificates(
  files: () => NonNullable<Config['tls']>,
  log: Logger,
  renew: (context: SecureContextOptions) => void,
): Certificates {
  const first = readCertificates(files());
  let currentFingerprint = fingerprint(first);
  let expiresAt = expiryOf(first);
  let reportedError = '';
  const check = () => {
    try {
      const context = readCertificates(files());
      const now = fingerprint(context);
      reportedError = '';
      if (now === currentFingerprint) return;
      renew(context);
      currentFingerprint = now;
      expiresAt = expiryOf(context);
      log.info('new TLS certificates are in use');
    } catch (error) {
      const message = String(error);
      if (message !== reportedError)
        log.error({ err: message }, 'TLS certificates could not be read again; the old ones stay in use');
      reportedError = message;
    }
  };
  const timer = setInterval(check, checkIntervalMs);
  timer.unref();
  return { expiresAt: () => expiresAt, check, stop: () => clearInterval(timer) };
}

function expiryOf({ cert }: SecureContextOptions): number {
  return cert instanceof Buffer ? new X509Certificate(cert).validToDate.getTime() : Number.NaN;
}

function fingerprint({ cert, key, ca }: SecureContextOptions): string {
  const hash = createHash('sha256');
  for (const part of [cert, key, ca]) hash.update(part instanceof Buffer ? part : '').update('|');
  return hash.digest('hex');
}
