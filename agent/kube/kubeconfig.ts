import { readFileSync } from 'node:fs';
import type { Agent as HttpAgent } from 'node:http';
import type { RequestOptions } from 'node:https';
import { dirname, resolve } from 'node:path';
import { parse } from 'yaml';
import { at, isRecord, listAt, textAt } from '../object/kube-object.ts';

/** Where the cluster's credentials come from: a kubeconfig's path or text, or the service account of the pod that runs beside `service`. */
export type KubeSource =
  | { readonly file: string; readonly context?: string | undefined }
  | { readonly text: string }
  | { readonly service: string | undefined };

export interface Credentials {
  /** For example `https://10.0.0.1:6443`. */
  readonly server: string;
  /** What a request has to show just now: tokens and certificates may change. */
  ask(): Promise<Shown>;
}

export interface Shown {
  readonly headers: Readonly<Record<string, string>>;
  readonly tls: TlsOptions;
  /** Set for a cluster that is reached through a proxy. */
  readonly agent?: HttpAgent | undefined;
}

export type TlsOptions = Pick<
  RequestOptions,
  'ca' | 'cert' | 'key' | 'pfx' | 'passphrase' | 'rejectUnauthorized' | 'servername'
>;

const serviceAccount = '/var/run/secrets/kubernetes.io/serviceaccount';

/** Reads where the cluster is and how to convince it. Throws one clear line when that cannot be read. */
export function openCredentials(source: KubeSource): Credentials {
  if ('service' in source) return openServiceAccount(source.service);
  try {
    return openKubeconfig(source);
  } catch (error) {
    const what = 'file' in source ? `kubeconfig ${source.file}` : 'kubeconfig';
    throw new Error(
      `the ${what} cannot be used: ${error instanceof Error ? error.message.split('\n')[0] : String(error)}`,
    );
  }
}

function openServiceAccount(service: string | undefined): Credentials {
  if (service === undefined) throw new Error('KUBECONFIG is not set, and this is no pod of a cluster');
  const token = () => readFileSync(`${serviceAccount}/token`, 'utf8').trim();
  try {
    token();
  } catch {
    throw new Error(`KUBECONFIG is not set, and the pod has no service account token in ${serviceAccount}`);
  }
  const ca = readFileSync(`${serviceAccount}/ca.crt`);
  return { server: service, ask: async () => ({ headers: bearer(token()), tls: { ca } }) };
}

function openKubeconfig(source: Exclude<KubeSource, { service: unknown }>): Credentials {
  const text = 'file' in source ? readFileSync(source.file, 'utf8') : source.text;
  const folder = 'file' in source ? dirname(resolve(source.file)) : '.';
  const config: unknown = parse(text);
  const name = ('file' in source ? source.context : undefined) ?? textAt(config, 'current-context');
  const context = named(config, 'contexts', 'context', name);
  if (!context) throw new Error(name ? `it has no context ${name}` : 'it has no current context');
  const cluster = named(config, 'clusters', 'cluster', textAt(context, 'cluster'));
  const server = textAt(cluster, 'server');
  if (!server) throw new Error(`context ${name} has no cluster with a server`);
  const user = named(config, 'users', 'user', textAt(context, 'user')) ?? {};
  const plain = plainCredentials({ server, cluster, user, folder });
  return plain ?? { server, ask: askLibrary(source, name) };
}

/** What only says where to find things, which is nearly always; undefined when more is needed (programs, providers, proxies). */
function plainCredentials({
  server,
  cluster,
  user,
  folder,
}: {
  server: string;
  cluster: unknown;
  user: unknown;
  folder: string;
}): Credentials | undefined {
  const isPlain = (value: unknown, known: ReadonlySet<string>) =>
    !isRecord(value) || Object.keys(value).every((field) => known.has(field));
  if (!isPlain(cluster, clusterFields) || !isPlain(user, userFields)) return undefined;
  /** From the field itself, in base64, or from the file that another one names. */
  const bytes = (part: unknown, field: string) => {
    const data = textAt(part, `${field}-data`);
    if (data) return Buffer.from(data, 'base64');
    const file = textAt(part, field);
    return file ? readFileSync(resolve(folder, file)) : undefined;
  };
  const shown = (): Shown => {
    const tokenFile = textAt(user, 'tokenFile');
    const token = tokenFile ? readFileSync(resolve(folder, tokenFile), 'utf8').trim() : textAt(user, 'token');
    const [username, password] = [textAt(user, 'username'), textAt(user, 'password')];
    const basic = `Basic ${Buffer.from(`${username}:${password ?? ''}`).toString('base64')}`;
    return {
      headers: token ? bearer(token) : username ? { authorization: basic } : {},
      tls: {
        ca: bytes(cluster, 'certificate-authority'),
        cert: bytes(user, 'client-certificate'),
        key: bytes(user, 'client-key'),
        rejectUnauthorized: at(cluster, 'insecure-skip-tls-verify') !== true,
        servername: textAt(cluster, 'tls-server-name'),
      },
    };
  };
  shown();
  return { server, ask: async () => shown() };
}

const clusterFields: ReadonlySet<string> = new Set([
  'server',
  'certificate-authority',
  'certificate-authority-data',
  'insecure-skip-tls-verify',
  'tls-server-name',
  'extensions',
]);
const userFields: ReadonlySet<string> = new Set([
  'token',
  'tokenFile',
  'username',
  'password',
  'client-certificate',
  'client-certificate-data',
  'client-key',
  'client-key-data',
  'extensions',
]);

/** The library knows the rest; it is loaded only then, since it takes half as much memory as all else together. */
function askLibrary(
  source: Exclude<KubeSource, { service: unknown }>,
  context: string | undefined,
): Credentials['ask'] {
  const load = async () => {
    const { KubeConfig } = await import('@kubernetes/client-node');
    const config = new KubeConfig();
    if ('file' in source) config.loadFromFile(source.file);
    else config.loadFromString(source.text);
    if (context !== undefined) config.setCurrentContext(context);
    return config;
  };
  let loading: ReturnType<typeof load> | undefined;
  return async () => {
    loading ??= load();
    const config = await loading;
    const asked: RequestOptions = {};
    await config.applyToHTTPSOptions(asked);
    const headers: Record<string, string> = {};
    for (const [name, value] of Object.entries(asked.headers ?? {})) headers[name.toLowerCase()] = String(value);
    if (asked.auth) headers.authorization = `Basic ${Buffer.from(asked.auth).toString('base64')}`;
    const { ca, cert, key, pfx, passphrase, rejectUnauthorized, servername } = asked;
    const viaProxy = config.getCurrentCluster()?.proxyUrl !== undefined;
    const agent = viaProxy ? (asked.agent as HttpAgent) : undefined;
    return { headers, tls: { ca, cert, key, pfx, passphrase, rejectUnauthorized, servername }, agent };
  };
}

function named(config: unknown, list: string, field: string, name: string | undefined): unknown {
  return at(
    listAt(config, list).find((item) => name !== undefined && textAt(item, 'name') === name),
    field,
  );
}

function bearer(token: string): Record<string, string> {
  return { authorization: `Bearer ${token}` };
}
