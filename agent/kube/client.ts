import { fieldManager, groupOf, type KindId, type KubeObject, objectIdOf, textAt } from '../object/kube-object.ts';
import { createApiAccess } from './access.ts';
import { ClusterError, hasStatus, unservedKind } from './api-error.ts';
import type { Cluster } from './cluster.ts';
import { createDiscovery, type Discovery, type Resource } from './discovery.ts';
import { createKubeHttp, type KubeHttp, type KubeHttpOptions, type KubeRequest } from './http.ts';
import { serviceAccountUser, withImpersonation } from './impersonation.ts';
import { type KubeSource, openCredentials } from './kubeconfig.ts';
import { continueTokenOf, itemsOf, listPath, objectPath } from './paths.ts';
import { createKubeStream, documentsOf, type KubeStream, textLinesOf, toWatchEvent } from './stream.ts';

/** Connections and the identity that requests are made with, shared by the methods of a cluster. */
interface Connection {
  readonly http: KubeHttp;
  readonly stream: KubeStream;
  readonly discovery: Discovery;
  readonly close: () => void;
  /** User to impersonate in streams; `http` does so by itself. */
  readonly user?: string;
}

const pageSize = 500;
/** Containers may write nothing for long, and a node sends the response headers only with the first line. */
const logTimeouts = { headersMs: 600_000, idleMs: 600_000 } as const;
const maxWatches = 256;
const partialObject = 'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json';
const partialList = 'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json';

/** Connects to a cluster. Reads the credentials, and throws a one-line Error without them; the first request asks the cluster. */
export function connectCluster(source: KubeSource, options: Omit<KubeHttpOptions, 'access'>): Cluster {
  // Watches do not count towards the limit on requests, and must not take their connections.
  const credentials = createApiAccess(openCredentials(source), 2 * options.concurrency + maxWatches);
  const withAccess = { ...options, access: credentials.access };
  const http = createKubeHttp(withAccess);
  const stream = createKubeStream(withAccess);
  return openCluster({ http, stream, discovery: createDiscovery(http), close: credentials.close });
}

function openCluster(connection: Connection): Cluster {
  const { http, discovery, close } = connection;
  return {
    discovery,
    ...objectReads(connection),
    ...lists(connection),
    ...writes(connection),
    ...logs(connection),
    impersonate: (serviceAccount) =>
      openCluster({
        ...connection,
        http: withImpersonation(http, serviceAccount),
        user: serviceAccountUser(serviceAccount),
      }),
    async version(signal) {
      return textAt((await http({ method: 'GET', path: '/version', signal })).body, 'gitVersion') ?? '';
    },
    close,
  };
}

function objectReads(connection: Connection): Pick<Cluster, 'get' | 'getMetadata'> {
  const { http } = connection;
  return {
    get: (id, signal) =>
      unlessMissing(connection, id, signal, async (resource) => {
        const path = objectPath(resource, id);
        return (await http({ method: 'GET', path, object: id, signal })).body as KubeObject;
      }),
    getMetadata: (id, signal) =>
      unlessMissing(connection, id, signal, async (resource) => {
        const path = objectPath(resource, id);
        const { body } = await http({ method: 'GET', path, accept: partialObject, object: id, signal });
        return { ...(body as KubeObject), apiVersion: id.apiVersion, kind: id.kind };
      }),
  };
}

function lists(connection: Connection): Pick<Cluster, 'list' | 'listPages' | 'listVersioned' | 'watch'> {
  const { http, stream, discovery } = connection;
  const listPages: Cluster['listPages'] = async function* (id, options, signal) {
    const { namespace, labelSelector, fieldSelector, limit } = options;
    for (let next: string | undefined, count = 0; ; ) {
      const size = String(Math.min(limit ?? pageSize, pageSize));
      const query = { labelSelector, fieldSelector, limit: size, continue: next };
      const body = await unlessMissing(connection, id, signal, async (resource) => {
        const path = listPath(resource, namespace);
        return (await http({ method: 'GET', path, query, signal })).body;
      });
      const page = itemsOf(body, id);
      yield page;
      count += page.length;
      next = continueTokenOf(body);
      if (!next || (limit !== undefined && count >= limit)) return;
    }
  };
  return {
    listPages,
    async list(id, options, signal) {
      const objects: KubeObject[] = [];
      for await (const page of listPages(id, options, signal)) objects.push(...page);
      return objects;
    },
    async *listVersioned(id, { namespace, labelSelector, limit, metadataOnly }, signal) {
      const path = listPath(await resourceOf(discovery, id, signal), namespace);
      const accept = metadataOnly ? partialList : 'application/json';
      for (let next: string | undefined; ; ) {
        const query = { labelSelector, limit: String(Math.min(limit ?? pageSize, pageSize)), continue: next };
        const { body } = await http({ method: 'GET', path, query, accept, signal });
        const resourceVersion = textAt(body, 'metadata', 'resourceVersion') ?? '';
        yield { objects: itemsOf(body, id), resourceVersion };
        next = continueTokenOf(body);
        if (!next || limit !== undefined) return;
      }
    },
    async *watch(id, { namespace, labelSelector, resourceVersion, timeoutMs, metadataOnly }, signal) {
      const path = listPath(await resourceOf(discovery, id, signal), namespace);
      const timeoutSeconds = String(Math.ceil(timeoutMs / 1000));
      const query = { watch: 'true', allowWatchBookmarks: 'true', labelSelector, resourceVersion, timeoutSeconds };
      const accept = metadataOnly ? partialObject : 'application/json';
      for await (const document of stream({ method: 'GET', path, query, accept, signal }, documentsOf)) {
        const event = toWatchEvent(document, id);
        if (event) yield event;
      }
    },
  };
}

function writes(connection: Connection): Pick<Cluster, 'apply' | 'create' | 'patch' | 'replace' | 'remove'> {
  const { http, discovery } = connection;
  return {
    async apply(object, resource, { dryRun, force }, signal) {
      const id = objectIdOf(object);
      const { status, body, warnings } = await http({
        method: 'PATCH',
        path: objectPath(resource, id),
        query: { fieldManager, force: String(force), dryRun: dryRun ? 'All' : undefined },
        body: object,
        contentType: 'application/apply-patch+yaml',
        object: id,
        signal,
      });
      return { object: body as KubeObject, created: status === 201, warnings };
    },
    async create(object, signal) {
      const id = objectIdOf(object);
      const path = listPath(await resourceOf(discovery, id, signal), id.namespace);
      const request = { method: 'POST', path, query: { fieldManager }, body: object, object: id, signal } as const;
      return (await http(request)).body as KubeObject;
    },
    async patch(id, patch, signal) {
      const { body } = await http({
        method: 'PATCH',
        path: objectPath(await resourceOf(discovery, id, signal), id),
        query: { fieldManager },
        body: patch,
        contentType: 'application/merge-patch+json',
        object: id,
        signal,
      });
      return body as KubeObject;
    },
    async replace(object, signal) {
      const id = objectIdOf(object);
      const path = objectPath(await resourceOf(discovery, id, signal), id);
      const request = { method: 'PUT', path, query: { fieldManager }, body: object, object: id, signal } as const;
      return (await http(request)).body as KubeObject;
    },
    async remove(id, uid, signal) {
      const options = {
        apiVersion: 'v1',
        kind: 'DeleteOptions',
        propagationPolicy: 'Background',
        preconditions: { uid },
      };
      await unlessMissing(connection, id, signal, async (resource) => {
        const path = objectPath(resource, id);
        await http({ method: 'DELETE', path, body: options, object: id, signal });
      });
    },
  };
}

function logs({ http, stream, discovery, user }: Connection): Pick<Cluster, 'readLog' | 'followLog'> {
  return {
    async readLog(pod, { container, lines, bytes }, signal) {
      const path = `${objectPath(await resourceOf(discovery, pod, signal), pod)}/log`;
      const query = { container, tailLines: String(lines), limitBytes: String(bytes) };
      return (await http({ method: 'GET', path, query, isText: true, accept: '*/*', object: pod, signal }))
        .body as string;
    },
    async *followLog(pod, { container, from, maxLength }, signal) {
      const path = `${objectPath(await resourceOf(discovery, pod, signal), pod)}/log`;
      const query = {
        container,
        follow: 'true',
        timestamps: 'true',
        sinceTime: from instanceof Date ? `${from.toISOString().slice(0, 19)}Z` : undefined,
        tailLines: from === 'now' ? '0' : undefined,
      };
      const request: KubeRequest = {
        method: 'GET',
        path,
        query,
        accept: '*/*',
        object: pod,
        signal,
        ...(user !== undefined && { user }),
      };
      yield* stream(request, (incoming) => textLinesOf(incoming, maxLength), logTimeouts);
    },
  };
}

/** Finds how a kind is served, in this version or another one. */
async function resourceOf(discovery: Discovery, id: KindId, signal: AbortSignal): Promise<Resource> {
  const resource = await discovery.findAnyVersion(id.apiVersion, id.kind, signal);
  if (resource) return resource;
  throw unservedKind(id);
}

/**
 * Sends a request about a kind, and returns undefined when the object or the kind does not exist. When the kind's version is no
 * longer served, tries once more with another version, in which its objects may live on.
 */
async function unlessMissing<Result>(
  { discovery }: Connection,
  { apiVersion, kind }: KindId,
  signal: AbortSignal,
  send: (resource: Resource) => Promise<Result>,
): Promise<Result | undefined> {
  for (let isRetry = false; ; isRetry = true) {
    const resource = await discovery.findAnyVersion(apiVersion, kind, signal);
    if (!resource) return undefined;
    try {
      return await send(resource);
    } catch (error) {
      if (!(error instanceof ClusterError) || !hasStatus(error, 404)) throw error;
      if (!error.unknownKind) return undefined;
      discovery.forget(resource.apiVersion);
      // Every API server serves the core group, so such a response does not come from one.
      if (isRetry && groupOf(resource.apiVersion) === '') throw error;
      if (isRetry) return undefined;
    }
  }
}
