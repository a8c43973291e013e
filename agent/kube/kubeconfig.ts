import { readFileSync } from 'node:fs';
import type { Agent as HttpAgent } from 'node:http';
import type { RequestOptions } from 'node:https';
import { dirname, resolve } from 'node:path';
import { parse } from 'yaml';
import { at, isRecord, listAt, textAt } from '../object/kube-object.ts';

/** Source of the cluster's credentials: the path or text of a kubeconfig, or the service account of the agent's pod. */
export type KubeSource =
  | { readonly file: string; readonly context?: string | undefined }
  | { readonly text: string }
  /** URL of the API server as the pod sees it; undefined outside of a cluster. */
  | { readonly service: string | undefined };

export interface ClusterCredentials {
  /** URL such as `https://10.0.0.1:6443`. */
  readonly server: string;
  /** Reads the current credentials: tokens and certificates may change. */
  read(): Promise<RequestCredentials>;
}

export interface RequestCredentials {
  readonly headers: Readonly<Record<string, string>>;
  readonly tls: TlsOptions;
  /** Set when the cluster is reached through a proxy. */
  readonly agent?: HttpAgent | undefined;
}

export type TlsOptions = Pick<
  RequestOptions,
  'ca' | 'cert' | 'key' | 'pfx' | 'passphrase' | 'rejectUnauthorized' | 'servername'
>;

const serviceAccount = '/var/run/secrets/kubernetes.io/serviceaccount';

/** Reads the address of the cluster and how to get its credentials. Throws a one-line Error when they cannot be read. */
export function openCredentials(source: KubeSource): ClusterCredentials {
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

function openServiceAccount(service: string | undefined): ClusterCredentials {
  if (service === undefined) throw new Error('KUBECONFIG is not set, and this is no pod of a cluster');
  const token = () => readFileSync(`${serviceAccount}/token`, 'utf8').trim();
  try {
    token();
  } catch {
    throw new Error(`KUBECONFIG is not set, and the pod has no service account token in ${serviceAccount}`);
  }
  const ca = readFileSync(`${serviceAccount}/ca.crt`);
  return { server: service, read: async () => ({ headers: bearer(token()), tls: { ca } }) };
}

function openKubeconfig(source: Exclude<KubeSource, { service: unknown }>): ClusterCredentials {
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
  return plain ?? { server, read: readByLibrary(source, name) };
}

/** Reads credentials that the kubeconfig holds or points to; undefined when it needs more (programs, auth providers, proxies). */
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
}): ClusterCredentials | undefined {
  const hasOnly = (value: unknown, fields: ReadonlySet<string>) =>
    !isRecord(value) || Object.keys(value).every((field) => fields.has(field));
  if (!hasOnly(cluster, clusterFields) || !hasOnly(user, userFields)) return undefined;
  /** Reads a value from its base64 field, or from the file that another field names. */
  const readBytes = (part: unknown, field: string) => {
    const data = textAt(part, `${field}-data`);
    if (data) return Buffer.from(data, 'base64');
    const file = textAt(part, field);
    return file ? readFileSync(resolve(folder, file)) : undefined;
  };
  const readPlain = (): RequestCredentials => {
    const tokenFile = textAt(user, 'tokenFile');
    const token = tokenFile ? readFileSync(resolve(folder, tokenFile), 'utf8').trim() : textAt(user, 'token');
    const [username, password] = [textAt(user, 'username'), textAt(user, 'password')];
    const basic = `Basic ${Buffer.from(`${username}:${password ?? ''}`).toString('base64')}`;
    return {
      headers: token ? bearer(token) : username ? { authorization: basic } : {},
      tls: {
        ca: readBytes(cluster, 'certificate-authority'),
        cert: readBytes(user, 'client-certificate'),
        key: readBytes(user, 'client-key'),
        rejectUnauthorized: at(cluster, 'insecure-skip-tls-verify') !== true,
        servername: textAt(cluster, 'tls-server-name'),
      },
    };
  };
  // Fails here, rather than with the first request, when a file is missing.
  readPlain();
  return { server, read: async () => readPlain() };
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

/** Leaves the rest to the Kubernetes client library, which is loaded only then: it takes half as much memory as the whole agent. */
function readByLibrary(
  source: Exclude<KubeSource, { service: unknown }>,
  context: string | undefined,
): ClusterCredentials['read'] {
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
    const options: RequestOptions = {};
    await config.applyToHTTPSOptions(options);
    const headers: Record<string, string> = {};
    for (const [name, value] of Object.entries(options.headers ?? {})) headers[name.toLowerCase()] = String(value);
    if (options.auth) headers.authorization = `Basic ${Buffer.from(options.auth).toString('base64')}`;
    const { ca, cert, key, pfx, passphrase, rejectUnauthorized, servername } = options;
    const viaProxy = config.getCurrentCluster()?.proxyUrl !== undefined;
    const agent = viaProxy ? (options.agent as HttpAgent) : undefined;
    return { headers, tls: { ca, cert, key, pfx, passphrase, rejectUnauthorized, servername }, agent };
  };
}

/** Returns a field of the item with this name in one of the kubeconfig's lists. */
function named(config: unknown, list: string, field: string, name: string | undefined): unknown {
  return at(
    listAt(config, list).find((item) => name !== undefined && textAt(item, 'name') === name),
    field,
  );
}

function bearer(token: string): Record<string, string> {
  return { authorization: `Bearer ${token}` };
}
