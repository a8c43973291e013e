import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

/** Absolute paths of the files in a cluster's data folder. */
export interface KubeFolder {
  readonly root: string;
  readonly etcdData: string;
  /** kube-apiserver creates its serving certificate here. */
  readonly certificates: string;
  readonly ca: string;
  readonly tokens: string;
  readonly serviceAccountKey: string;
  readonly kubeconfig: string;
}

/** Creates the folder when it is missing, readable by this user only. */
export function openFolder(dataDir: string): KubeFolder {
  const root = resolve(dataDir);
  mkdirSync(root, { recursive: true, mode: 0o700 });
  return {
    root,
    etcdData: join(root, 'etcd'),
    certificates: join(root, 'certificates'),
    ca: join(root, 'ca.crt'),
    tokens: join(root, 'tokens.csv'),
    serviceAccountKey: join(root, 'service-account.key'),
    kubeconfig: join(root, 'kubeconfig'),
  };
}

/**
 * Writes the files that kube-apiserver reads at its start, keeping the keys of an earlier start, and returns the
 * admin's token.
 */
export function writeSecrets(folder: KubeFolder): string {
  // The serving certificate expires after a year.
  rmSync(folder.certificates, { recursive: true, force: true });
  if (!existsSync(folder.serviceAccountKey)) {
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    writeOwn(folder.serviceAccountKey, privateKey.export({ type: 'pkcs1', format: 'pem' }).toString());
  }
  if (!existsSync(folder.tokens)) {
    writeOwn(folder.tokens, `${randomBytes(24).toString('hex')},admin,admin,system:masters\n`);
  }
  return readFileSync(folder.tokens, 'utf8').split(',', 1).join();
}

/**
 * Returns the PEM of the authority, which kube-apiserver appends to its own certificate. Throws until the file exists.
 */
export function readAuthority(folder: KubeFolder): string {
  const chain = readFileSync(join(folder.certificates, 'apiserver.crt'), 'utf8');
  const authority = chain.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----\n/g)?.[1];
  if (!authority) throw new Error(`no authority in ${folder.certificates}`);
  return authority;
}

/** Writes the kubeconfig of the admin and the controllers, and the authority's file, which the controllers need too. */
export function writeKubeconfig(folder: KubeFolder, url: string, ca: string, token: string): void {
  writeOwn(folder.ca, ca);
  writeOwn(folder.kubeconfig, kubeconfigText(url, ca, token));
}

/** Returns the text of a kubeconfig with one cluster, one user and one context. */
export function kubeconfigText(url: string, ca: string, token: string): string {
  return `apiVersion: v1
kind: Config
clusters:
  - name: sandbox
    cluster:
      server: ${url}
      certificate-authority-data: ${Buffer.from(ca).toString('base64')}
users:
  - name: sandbox
    user:
      token: ${JSON.stringify(token)}
contexts:
  - name: sandbox
    context: { cluster: sandbox, user: sandbox }
current-context: sandbox
`;
}

function writeOwn(file: string, text: string): void {
  writeFileSync(file, text, { mode: 0o600 });
}
