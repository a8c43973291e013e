import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

/** Absolute paths of what one cluster keeps in its data folder. */
export interface KubeFolder {
  readonly root: string;
  readonly etcdData: string;
  /** kube-apiserver makes its serving certificate in here. */
  readonly certificates: string;
  readonly ca: string;
  readonly tokens: string;
  readonly serviceAccountKey: string;
  readonly kubeconfig: string;
}

/** Makes the folder when it is missing, so that nobody else may look in. */
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

/** Prepares what kube-apiserver reads at its start, keeping an earlier start's keys, and returns the admin's token. */
export function writeSecrets(folder: KubeFolder): string {
  // Its serving certificate is valid for one year only.
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

/** The PEM of the authority, which kube-apiserver writes behind its own certificate. Throws while it is not there. */
export function readAuthority(folder: KubeFolder): string {
  const chain = readFileSync(join(folder.certificates, 'apiserver.crt'), 'utf8');
  const authority = chain.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----\n/g)?.[1];
  if (!authority) throw new Error(`no authority in ${folder.certificates}`);
  return authority;
}

/** For the admin, and for the controllers, which need the authority in a file of its own too. */
export function writeKubeconfig(folder: KubeFolder, url: string, ca: string, token: string): void {
  writeOwn(folder.ca, ca);
  writeOwn(folder.kubeconfig, kubeconfigText(url, ca, token));
}

/** The text of a kubeconfig with one cluster, one user and one context. */
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
