import { X509Certificate } from 'node:crypto';
import { checkServerIdentity, type DetailedPeerCertificate, type PeerCertificate } from 'node:tls';

/**
 * Reads SHA-256 fingerprints of certificates, separated by commas: 64 hexadecimal digits each, with or without colons and a leading
 * "sha256:". Throws when one is something else.
 */
export function parseFingerprints(text: string): string[] {
  return text.split(',').map((one) => {
    const digits = one
      .trim()
      .replace(/^sha256:/i, '')
      .replaceAll(':', '')
      .toLowerCase();
    if (!/^[0-9a-f]{64}$/.test(digits))
      throw new Error(`"${one.trim()}" is not a SHA-256 fingerprint in hexadecimal digits`);
    return digits;
  });
}

/** Fingerprints of the certificates in a PEM text, such as an authority's file. Throws when there are none. */
export function fingerprintsOf(pem: string): string[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g);
  if (!blocks) throw new Error('it holds no certificate (PEM)');
  return blocks.map((block) => normalizeFingerprint(new X509Certificate(block).fingerprint256));
}

/**
 * Checks a server besides its chain, which has been verified by then: that its certificate is for this host, and that one of the
 * chain's certificates is one of these. A trusted authority alone is not enough.
 */
export function checkPinnedFingerprints(
  fingerprints: readonly string[],
): (host: string, certificate: PeerCertificate) => Error | undefined {
  return (host, certificate) => {
    const wrongHost = checkServerIdentity(host, certificate);
    if (wrongHost) return wrongHost;
    const chain = chainFingerprints(certificate as DetailedPeerCertificate);
    if (chain.some((one) => fingerprints.includes(one))) return undefined;
    return new Error(
      `no certificate of ${host} has the pinned fingerprint; from its own up they are ${chain.join(', ')}`,
    );
  };
}

/** Fingerprints from the server's own certificate up. The last one, an authority, is its own issuer. */
function chainFingerprints(certificate: DetailedPeerCertificate): string[] {
  const found: string[] = [];
  for (let one: DetailedPeerCertificate | undefined = certificate; one?.fingerprint256; one = one.issuerCertificate) {
    const fingerprint = normalizeFingerprint(one.fingerprint256);
    if (found.includes(fingerprint)) break;
    found.push(fingerprint);
  }
  return found;
}

function normalizeFingerprint(fingerprint: string): string {
  return fingerprint.replaceAll(':', '').toLowerCase();
}
