// Over 300 lines: the one file that knows how the Kubernetes API is asked
import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { heeding } from '../concurrency/backoff.ts';
import {
  fieldManager,
  groupOf,
  idOf,
  type KindId,
  type KubeObject,
  listAt,
  type ObjectId,
  textAt,
} from '../object/kube-object.ts';
import { ClusterError, hasStatus, unserved } from './api-error.ts';
import { createDiscovery, type Discovery, pathOf, type Resource } from './discovery.ts';
import { type Access, createKubeHttp, type KubeHttp, type KubeHttpOptions } from './http.ts';
import { impersonating, userOf } from './impersonation.ts';
import { type Credentials, type KubeSource, openCredentials, type TlsOptions } from './kubeconfig.ts';
import { createKubeStream, documentsOf, type KubeStream, type TextLine, textLinesOf, toWatchEvent } from './stream.ts';

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
  /** The same without anything but its metadata, where the server can leave the rest out. */
  metadata(id: ObjectId, signal: AbortSignal): Promise<KubeObject | undefined>;
  /** All pages; of every namespace when `namespace` is empty. No object when the kind is not served. */
  list(kind: KindId, options: ListOptions, signal: AbortSignal): Promise<KubeObject[]>;
  /** The same page by page, for what should not be in memory all at once. */
  pages(kind: KindId, options: ListOptions, signal: AbortSignal): AsyncIterable<KubeObject[]>;
  /**
   * The same with the version at which a watch goes on, and only what `partial` asks for: with it, metadata is enough. Unlike `pages`,
   * a kind that is not served is an error.
   */
  versioned(kind: KindId, options: ListOptions & Partially, signal: AbortSignal): AsyncIterable<VersionedPage>;
  /** What happens to the objects after a version, until the server ends it. A version that is too old is a ClusterError 410. */
  watch(kind: KindId, options: WatchOptions, signal: AbortSignal): AsyncIterable<WatchEvent>;
  create(object: KubeObject, signal: AbortSignal): Promise<KubeObject>;
  /** Replaces the object; its resourceVersion must be the stored one (else 409). */
  replace(object: KubeObject, signal: AbortSignal): Promise<KubeObject>;
  /** Deletes the object with this uid (another one: 409); dependents go in the background. */
  remove(id: ObjectId, uid: string, signal: AbortSignal): Promise<void>;
  /** The last lines of a container's log, as one text of at most so many bytes. */
  log(pod: ObjectId, options: LogOptions, signal: AbortSignal): Promise<string>;
  /** The lines of a container's log as they come, each after its time, until the container or the server ends it. */
  followLog(pod: ObjectId, options: FollowOptions, signal: AbortSignal): AsyncIterable<TextLine>;
  /** The same cluster, asked as this ServiceAccount ("namespace/name"); but for discovery, which is the agent's own. */
  as(serviceAccount: string): Cluster;
  /** `v1.36.3`. */
  version(signal: AbortSignal): Promise<string>;
  close(): void;
}

export interface Partially {
  /** Only metadata is needed: servers that can leave the rest out. */
  readonly partial?: boolean;
}

export interface VersionedPage {
  readonly objects: readonly KubeObject[];
  readonly resourceVersion: string;
}

export interface WatchOptions extends Partially {
  readonly namespace: string;
  readonly labelSelector: string;
  readonly resourceVersion: string;
  /** When the server is to end it. */
  readonly timeoutMs: number;
}

export type WatchEvent =
  | { readonly type: 'changed' | 'deleted'; readonly object: KubeObject }
  /** Nothing happened up to the version. */
  | { readonly type: 'bookmark'; readonly resourceVersion: string };

export interface LogOptions {
  readonly container: string;
  readonly lines: number;
  readonly bytes: number;
}

export interface FollowOptions {
  readonly container: string;
  /** Not before this time, of which the server looks at the seconds only; `now` leaves out all that was written before. */
  readonly from: Date | 'now' | 'beginning';
  /** Characters of a line, with its time. */
  readonly longest: number;
}

export interface Applied {
  readonly object: KubeObject;
  readonly created: boolean;
}

export interface ListOptions {
  readonly namespace: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  /** Only that many, the first ones; of what is versioned, only one page. */
  readonly limit?: number;
}

const pageSize = 500;
/** Containers may have nothing to write for long, and nodes answer with the first line; now and then the connection is made anew. */
const logPatience = { headMs: 600_000, silentMs: 600_000 } as const;
const maxWatches = 256;
const partialObject = 'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json';
const partialList = 'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json';
/** How long credentials are used before the kubeconfig's sources are asked again; service account tokens change within the hour. */
const accessMs = 30_000;
/** A program that makes credentials may hang; it is not waited for any longer. */
const readingMs = 60_000;

/** Reads the credentials; the cluster itself is asked only by the first request. Throws one clear line when there are none. */
export function connectCluster(source: KubeSource, options: Omit<KubeHttpOptions, 'access'>): Cluster {
  // Watches are beyond the limit on requests, and must not take their connections.
  const credentials = keepAccess(openCredentials(source), 2 * options.concurrency + maxWatches);
  const withAccess = { ...options, access: credentials.access };
  const http = createKubeHttp(withAccess);
  return openCluster(http, createKubeStream(withAccess), createDiscovery(http), credentials.close);
}

function openCluster(
  http: KubeHttp,
  stream: KubeStream,
  discovery: Discovery,
  close: () => void,
  impersonate?: string,
): Cluster {
  const resourceOf = async (id: KindId, signal: AbortSignal): Promise<Resource> => {
    const resource = await discovery.findAnyVersion(id.apiVersion, id.kind, signal);
    if (resource) return resource;
    throw unserved(id);
  };
  /**
   * Undefined for what is not there. A kind that was served, and is no longer in this version, is looked up again: its objects may live
   * on in another one.
   */
  const unlessMissing = async <Result>(
    { apiVersion, kind }: KindId,
    signal: AbortSignal,
    work: (resource: Resource) => Promise<Result>,
  ): Promise<Result | undefined> => {
    for (let isAgain = false; ; isAgain = true) {
      const resource = await discovery.findAnyVersion(apiVersion, kind, signal);
      if (!resource) return undefined;
      try {
        return await work(resource);
      } catch (error) {
        if (!(error instanceof ClusterError) || !hasStatus(error, 404)) throw error;
        if (!error.unknownKind) return undefined;
        discovery.forget(resource.apiVersion);
        // The core is always served: such an answer is not the API server's.
        if (isAgain && groupOf(resource.apiVersion) === '') throw error;
        if (isAgain) return undefined;
      }
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
      unlessMissing(id, signal, async (resource) => {
        const path = objectPath(resource, id);
        return (await http({ method: 'GET', path, object: id, signal })).body as KubeObject;
      }),
    metadata: (id, signal) =>
      unlessMissing(id, signal, async (resource) => {
        const path = objectPath(resource, id);
        const { body } = await http({ method: 'GET', path, accept: partialObject, object: id, signal });
        return { ...(body as KubeObject), apiVersion: id.apiVersion, kind: id.kind };
      }),
    async list(kind, options, signal) {
      const objects: KubeObject[] = [];
      for await (const page of cluster.pages(kind, options, signal)) objects.push(...page);
      return objects;
    },
    async *pages({ apiVersion, kind }, { namespace, labelSelector, fieldSelector, limit }, signal) {
      for (let next: string | undefined, count = 0; ; ) {
        const size = String(Math.min(limit ?? pageSize, pageSize));
        const query = { labelSelector, fieldSelector, limit: size, continue: next };
        const body = await unlessMissing({ apiVersion, kind }, signal, async (resource) => {
          const path = listPath(resource, namespace);
          return (await http({ method: 'GET', path, query, signal })).body;
        });
        const page = itemsOf(body, { apiVersion, kind });
        yield page;
        count += page.length;
        next = continuationOf(body);
        if (!next || (limit !== undefined && count >= limit)) return;
      }
    },
    async *versioned({ apiVersion, kind }, { namespace, labelSelector, limit, partial }, signal) {
      const path = listPath(await resourceOf({ apiVersion, kind }, signal), namespace);
      const accept = partial ? partialList : 'application/json';
      for (let next: string | undefined; ; ) {
        const query = { labelSelector, limit: String(Math.min(limit ?? pageSize, pageSize)), continue: next };
        const { body } = await http({ method: 'GET', path, query, accept, signal });
        const resourceVersion = textAt(body, 'metadata', 'resourceVersion') ?? '';
        yield { objects: itemsOf(body, { apiVersion, kind }), resourceVersion };
        next = continuationOf(body);
        if (!next || limit !== undefined) return;
      }
    },
    async *watch({ apiVersion, kind }, { namespace, labelSelector, resourceVersion, timeoutMs, partial }, signal) {
      const path = listPath(await resourceOf({ apiVersion, kind }, signal), namespace);
      const query = {
        watch: 'true',
        allowWatchBookmarks: 'true',
        labelSelector,
        resourceVersion,
        timeoutSeconds: String(Math.ceil(timeoutMs / 1000)),
      };
      const accept = partial ? partialObject : 'application/json';
      for await (const document of stream({ method: 'GET', path, query, accept, signal }, documentsOf)) {
        const event = toWatchEvent(document, { apiVersion, kind });
        if (event) yield event;
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
      await unlessMissing(id, signal, async (resource) => {
        const path = objectPath(resource, id);
        await http({ method: 'DELETE', path, body: options, object: id, signal });
      });
    },
    async log(pod, { container, lines, bytes }, signal) {
      const path = `${objectPath(await resourceOf(pod, signal), pod)}/log`;
      const query = { container, tailLines: String(lines), limitBytes: String(bytes) };
      return (await http({ method: 'GET', path, query, text: true, accept: '*/*', object: pod, signal }))
        .body as string;
    },
    async *followLog(pod, { container, from, longest }, signal) {
      const path = `${objectPath(await resourceOf(pod, signal), pod)}/log`;
      const query = {
        container,
        follow: 'true',
        timestamps: 'true',
        sinceTime: from instanceof Date ? `${from.toISOString().slice(0, 19)}Z` : undefined,
        tailLines: from === 'now' ? '0' : undefined,
      };
      const asked = { method: 'GET', path, query, accept: '*/*', object: pod, signal } as const;
      const request = impersonate === undefined ? asked : { ...asked, impersonate };
      yield* stream(request, (incoming) => textLinesOf(incoming, longest), logPatience);
    },
    async version(signal) {
      return textAt((await http({ method: 'GET', path: '/version', signal })).body, 'gitVersion') ?? '';
    },
    as: (serviceAccount) =>
      openCluster(impersonating(http, serviceAccount), stream, discovery, close, userOf(serviceAccount)),
    close,
  };
  return cluster;
}

/** Items of a list do not say what they are. */
function itemsOf(body: unknown, { apiVersion, kind }: KindId): KubeObject[] {
  return listAt(body, 'items').map((item) => ({ ...(item as KubeObject), apiVersion, kind }));
}

function continuationOf(body: unknown): string | undefined {
  return textAt(body, 'metadata', 'continue') || undefined;
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
  let reading: { access: Promise<Access>; at: number } | undefined;

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
    async access(renew: boolean, signal: AbortSignal): Promise<Access> {
      if (current && !renew && Date.now() - current.at < accessMs) return current.access;
      if (!reading || Date.now() - reading.at > readingMs) {
        const started = { access: read(), at: Date.now() };
        const ended = () => {
          if (reading === started) reading = undefined;
        };
        started.access.then(ended, ended);
        reading = started;
      }
      return heeding(reading.access, signal);
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
