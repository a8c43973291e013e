import { X509Certificate } from 'node:crypto';
import { checkServerIdentity, type DetailedPeerCertificate, type PeerCertificate } from 'node:tls';

/**
 * Reads SHA-256 fingerprints of certificates, separated by commas: 64 hexadecimal digits each, with or without colons and a leading
 * "sha256:". Throws when one is something else.
 */
export function parseFingerprints(text: string): string[] {
  return text.split(',').map((fingerprint) => {
    const digits = fingerprint
      .trim()
      .replace(/^sha256:/i, '')
      .replaceAll(':', '')
      .toLowerCase();
    if (!/^[0-9a-f]{64}$/.test(digits))
      throw new Error(`"${fingerprint.trim()}" is not a SHA-256 fingerprint in hexadecimal digits`);
    return digits;
  });
}

/** Returns the fingerprints of the certificates in a PEM text, such as a CA file. Throws when there are none. */
export function fingerprintsOf(pem: string): string[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g);
  if (!blocks) throw new Error('it contains no PEM certificate');
  return blocks.map((block) => normalizeFingerprint(new X509Certificate(block).fingerprint256));
}

/**
 * Creates a check of the server's identity that runs after its chain was verified: the certificate must be for the host, and the chain
 * must contain one of the pinned certificates. A trusted CA alone is not enough.
 */
export function checkPinnedFingerprints(
  fingerprints: readonly string[],
): (host: string, certificate: PeerCertificate) => Error | undefined {
  return (host, certificate) => {
    const wrongHost = checkServerIdentity(host, certificate);
    if (wrongHost) return wrongHost;
    const chain = chainFingerprints(certificate as DetailedPeerCertificate);
    if (chain.some((fingerprint) => fingerprints.includes(fingerprint))) return undefined;
    return new Error(`no certificate of ${host} has a pinned fingerprint; those of its chain are ${chain.join(', ')}`);
  };
}

/** Returns the fingerprints of a chain, starting with the server's certificate. The root CA at its end is its own issuer. */
function chainFingerprints(certificate: DetailedPeerCertificate): string[] {
  const fingerprints: string[] = [];
  let current: DetailedPeerCertificate | undefined = certificate;
  while (current?.fingerprint256) {
    const fingerprint = normalizeFingerprint(current.fingerprint256);
    if (fingerprints.includes(fingerprint)) break;
    fingerprints.push(fingerprint);
    current = current.issuerCertificate;
  }
  return fingerprints;
}

function normalizeFingerprint(fingerprint: string): string {
  return fingerprint.replaceAll(':', '').toLowerCase();
}
