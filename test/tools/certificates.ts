import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generate } from 'selfsigned';

/** Files (PEM) of a certificate and its key. */
export interface CertificateFiles {
  readonly certFile: string;
  readonly keyFile: string;
}

/** A certificate authority for one test file, whose files are in a temporary folder. */
export interface Authority {
  readonly caFile: string;
  /** Issues a certificate for 127.0.0.1 and localhost, for servers and clients; files of the same name are replaced. */
  issue(name: string): Promise<CertificateFiles>;
  remove(): void;
}

/** Creates an authority. */
export async function makeAuthority(name = 'test authority'): Promise<Authority> {
  const folder = mkdtempSync(join(tmpdir(), 'brokkr-certificates-'));
  const ca = await generate([{ name: 'commonName', value: name }], {
    keyType: 'ec',
    algorithm: 'sha256',
    extensions: [
      { name: 'basicConstraints', cA: true, critical: true },
      { name: 'keyUsage', keyCertSign: true, cRLSign: true, critical: true },
    ],
  });
  const write = (file: string, text: string) => {
    const path = join(folder, file);
    writeFileSync(path, text, { mode: 0o600 });
    return path;
  };
  return {
    caFile: write('ca.pem', ca.cert),
    async issue(subject) {
      const issued = await generate([{ name: 'commonName', value: subject }], {
        keyType: 'ec',
        algorithm: 'sha256',
        ca: { key: ca.private, cert: ca.cert },
        extensions: [
          { name: 'basicConstraints', cA: false },
          { name: 'keyUsage', digitalSignature: true },
          { name: 'extKeyUsage', serverAuth: true, clientAuth: true },
          {
            name: 'subjectAltName',
            altNames: [
              { type: 7, ip: '127.0.0.1' },
              { type: 2, value: 'localhost' },
            ],
          },
        ],
      });
      return { certFile: write(`${subject}.pem`, issued.cert), keyFile: write(`${subject}-key.pem`, issued.private) };
    },
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}
