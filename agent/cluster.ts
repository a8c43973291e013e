import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { ClusterError, hasStatus } from './cluster-error.ts';
import { createDiscovery, type Discovery, pathOf, type Resource } from './discovery.ts';
import { impersonating } from './impersonate.ts';
import { type Access, createKubeHttp, type KubeHttp, type KubeHttpOptions } from './kube-http.ts';
import { type Credentials, type KubeSource, openCredentials, type TlsOptions } from './kubeconfig.ts';
import { fieldManager, idOf, type KubeObject, listAt, type ObjectId, textAt } from './object.ts';

export type { KubeSource } from './kubeconfig.ts';

/** A cluster's API, as far as the agent needs it. What is refused is a ClusterError; every wait ends with the signal. */
export interface Cluster {
  readonly discovery: Discovery;
  /** Server-side apply as field manager `brokkr`. Answers the object as it is, or with `dryRun` as it would be. */
  apply(
    object: KubeObject,
    resource: Resource,
    options: { dryRun: boolean; force: boolean },
    signal: AbortSignal,
  ): Promise<Applied>;
  /** Undefined when there is no such object, or no such kind. */
  get(id: ObjectId, signal: AbortSignal): Promise<KubeObject | undefined>;
  /** All pages; of every namespace when `namespace` is empty. No object when the kind is not served. */
  list(kind: KindId, options: ListOptions, signal: AbortSignal): Promise<KubeObject[]>;
  /** The same page by page, for what should not be in memory all at once. */
  pages(kind: KindId, options: ListOptions, signal: AbortSignal): AsyncIterable<KubeObject[]>;
  create(object: KubeObject, signal: AbortSignal): Promise<KubeObject>;
  /** Replaces the object; its resourceVersion must be the stored one (else 409). */
  replace(object: KubeObject, signal: AbortSignal): Promise<KubeObject>;
  /** Deletes the object with this uid (another one: 409); dependents go in the background. */
  remove(id: ObjectId, uid: string, signal: AbortSignal): Promise<void>;
  /** The same cluster, asked as this ServiceAccount ("namespace/name"); but for discovery, which is the agent's own. */
  as(serviceAccount: string): Cluster;
  /** `v1.36.3`. */
  version(signal: AbortSignal): Promise<string>;
  close(): void;
}

export type KindId = Pick<ObjectId, 'apiVersion' | 'kind'>;

export interface Applied {
  readonly object: KubeObject;
  readonly created: boolean;
}

export interface ListOptions {
  readonly namespace: string;
  readonly labelSelector?: string;
  /** Only that many, the first ones. */
  readonly limit?: number;
}

const pageSize = 500;
/** How long credentials are used before the kubeconfig's sources are asked again; service account tokens change within the hour. */
const accessMs = 30_000;

/** Reads the credentials; the cluster itself is asked only by the first request. Throws one clear line when there are none. */
export function connectCluster(source: KubeSource, options: Omit<KubeHttpOptions, 'access'>): Cluster {
  const credentials = keepAccess(openCredentials(source), options.concurrency);
  const http = createKubeHttp({ ...options, access: credentials.access });
  return openCluster(http, createDiscovery(http), credentials.close);
}

function openCluster(http: KubeHttp, discovery: Discovery, close: () => void): Cluster {
  const resourceOf = async (id: KindId, signal: AbortSignal): Promise<Resource> => {
    const resource = await discovery.findAnyVersion(id.apiVersion, id.kind, signal);
    if (resource) return resource;
    throw new ClusterError(`the cluster serves no ${id.kind} of ${id.apiVersion}`, {
      status: 404,
      reason: 'NotFound',
      unknownKind: true,
    });
  };
  /** Undefined for what is not there; a kind that is gone is looked up again the next time. */
  const unlessMissing = async <Result>(
    apiVersion: string,
    work: () => Promise<Result>,
  ): Promise<Result | undefined> => {
    try {
      return await work();
    } catch (error) {
      if (!hasStatus(error, 404)) throw error;
      if ((error as ClusterError).unknownKind) discovery.forget(apiVersion);
      return undefined;
    }
  };

  const cluster: Cluster = {
    discovery,
    async apply(object, resource, { dryRun, force }, signal) {
      const query = { fieldManager, force: String(force), dryRun: dryRun ? 'All' : undefined };
      const id = idOf(object);
      const contentType = 'application/apply-patch+yaml';
      const { status, body } = await http({
        method: 'PATCH',
        path: objectPath(resource, id),
        query,
        body: object,
        contentType,
        object: id,
        signal,
      });
      return { object: body as KubeObject, created: status === 201 };
    },
    get: (id, signal) =>
      unlessMissing(id.apiVersion, async () => {
        const path = objectPath(await resourceOf(id, signal), id);
        return (await http({ method: 'GET', path, object: id, signal })).body as KubeObject;
      }),
    async list(kind, options, signal) {
      const objects: KubeObject[] = [];
      for await (const page of cluster.pages(kind, options, signal)) objects.push(...page);
      return objects;
    },
    async *pages({ apiVersion, kind }, { namespace, labelSelector, limit }, signal) {
      for (let next: string | undefined, count = 0; ; ) {
        const query = { labelSelector, limit: String(Math.min(limit ?? pageSize, pageSize)), continue: next };
        const body = await unlessMissing(apiVersion, async () => {
          const path = listPath(await resourceOf({ apiVersion, kind }, signal), namespace);
          return (await http({ method: 'GET', path, query, signal })).body;
        });
        // Items of a list do not say what they are.
        const page = listAt(body, 'items').map((item) => ({ ...(item as KubeObject), apiVersion, kind }));
        yield page;
        count += page.length;
        next = textAt(body, 'metadata', 'continue') || undefined;
        if (!next || (limit !== undefined && count >= limit)) return;
      }
    },
    async create(object, signal) {
      const id = idOf(object);
      const path = listPath(await resourceOf(id, signal), id.namespace);
      return (await http({ method: 'POST', path, query: { fieldManager }, body: object, object: id, signal }))
        .body as KubeObject;
    },
    async replace(object, signal) {
      const id = idOf(object);
      const path = objectPath(await resourceOf(id, signal), id);
      return (await http({ method: 'PUT', path, query: { fieldManager }, body: object, object: id, signal }))
        .body as KubeObject;
    },
    async remove(id, uid, signal) {
      const options = {
        apiVersion: 'v1',
        kind: 'DeleteOptions',
        propagationPolicy: 'Background',
        preconditions: { uid },
      };
      await unlessMissing(id.apiVersion, async () => {
        const path = objectPath(await resourceOf(id, signal), id);
        await http({ method: 'DELETE', path, body: options, object: id, signal });
      });
    },
    async version(signal) {
      return textAt((await http({ method: 'GET', path: '/version', signal })).body, 'gitVersion') ?? '';
    },
    as: (serviceAccount) => openCluster(impersonating(http, serviceAccount), discovery, close),
    close,
  };
  return cluster;
}

function objectPath(resource: Resource, { namespace, name }: ObjectId): string {
  return `${listPath(resource, namespace)}/${encodeURIComponent(name)}`;
}

function listPath({ apiVersion, plural, namespaced }: Resource, namespace: string): string {
  const place = namespaced && namespace !== '' ? `/namespaces/${encodeURIComponent(namespace)}` : '';
  return `${pathOf(apiVersion)}${place}/${plural}`;
}

/** One pool of connections, replaced only when certificates change; credentials are asked for now and then. */
function keepAccess({ server, ask }: Credentials, maxSockets: number) {
  let current: { access: Access; tls: string; at: number } | undefined;
  let reading: Promise<Access> | undefined;

  const read = async (): Promise<Access> => {
    const { headers, tls: options, agent: given } = await ask();
    const tls = JSON.stringify(options);
    const kept = current?.tls === tls ? current.access.agent : undefined;
    if (!kept) current?.access.agent.destroy();
    const agent = kept ?? given ?? createAgent(server, options, maxSockets);
    current = { access: { server, headers, agent }, tls, at: Date.now() };
    return current.access;
  };
  return {
    access: (renew: boolean): Promise<Access> => {
      if (current && !renew && Date.now() - current.at < accessMs) return Promise.resolve(current.access);
      reading ??= read().finally(() => {
        reading = undefined;
      });
      return reading;
    },
    close: () => current?.access.agent.destroy(),
  };
}

function createAgent(server: string, tls: TlsOptions, maxSockets: number): HttpAgent {
  const options = { keepAlive: true, maxSockets, scheduling: 'lifo' } as const;
  if (!server.startsWith('https:')) return new HttpAgent(options);
  const given = Object.fromEntries(Object.entries(tls).filter(([, value]) => value !== undefined));
  return new HttpsAgent({ ...given, ...options });
}
