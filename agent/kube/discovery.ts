import { groupKindOf, groupOf, isRecord, listAt, textAt } from '../object/kube-object.ts';
import { ClusterError, errorMessage, hasStatus } from './api-error.ts';
import type { KubeHttp } from './http.ts';

/** A kind as the cluster serves it. */
export interface Resource {
  readonly apiVersion: string;
  readonly kind: string;
  /** Name of the kind in paths, such as `deployments`. */
  readonly plural: string;
  readonly namespaced: boolean;
  readonly verbs: readonly string[];
}

/** Finds out which kinds the cluster serves, and remembers it for each group version. */
export interface Discovery {
  /**
   * Finds a kind in exactly this version; undefined when it is not served. Reads a known group version again for a kind it lacks.
   */
  find(apiVersion: string, kind: string, signal: AbortSignal): Promise<Resource | undefined>;
  /** Finds a kind in this or another version of its group: objects outlive the version in which they were created. */
  findAnyVersion(apiVersion: string, kind: string, signal: AbortSignal): Promise<Resource | undefined>;
  /** Makes the next lookup read the group version again: after a definition was established, or a kind turned out to be gone. */
  forget(apiVersion: string): void;
  /**
   * Returns every namespaced kind that can be listed and deleted, once each and preferably in its group's preferred version, and
   * the group versions that the cluster lists but does not answer for. Reads all group versions again each time.
   */
  namespacedKinds(signal: AbortSignal): Promise<NamespacedKinds>;
}

export interface NamespacedKinds {
  readonly kinds: readonly Resource[];
  readonly unreadable: readonly { readonly apiVersion: string; readonly message: string }[];
}

/** Milliseconds for which a group version is not read again for a kind that it lacks. */
const rereadMs = 1_000;

interface GroupVersion {
  readonly resources: Promise<readonly Resource[]>;
  readonly readAt: number;
}

/** Reads group versions, and remembers each until it is forgotten or its read fails. */
interface GroupVersions {
  /** Returns the group version that was read last. */
  get(apiVersion: string): GroupVersion | undefined;
  /** Reads a group version. With `isAdvertised`, the cluster has listed it, and a 404 is an error. */
  load(apiVersion: string, signal: AbortSignal, isAdvertised?: boolean): GroupVersion;
  forget(apiVersion: string): void;
}

/** Creates the discovery of a cluster; it reads nothing before the first lookup. */
export function createDiscovery(http: KubeHttp): Discovery {
  const groupVersions = createGroupVersions(http);
  const discovery: Discovery = {
    async find(apiVersion, kind, signal) {
      const cached = groupVersions.get(apiVersion) ?? groupVersions.load(apiVersion, signal);
      const findKind = (resources: readonly Resource[]) => resources.find((resource) => resource.kind === kind);
      // The read may belong to another stack's pass that was given up meanwhile: then this caller reads for itself.
      const resource = findKind(await cached.resources.catch(() => groupVersions.load(apiVersion, signal).resources));
      if (resource || Date.now() - cached.readAt < rereadMs) return resource;
      const newer = groupVersions.get(apiVersion);
      return findKind(await (newer && newer !== cached ? newer : groupVersions.load(apiVersion, signal)).resources);
    },
    async findAnyVersion(apiVersion, kind, signal) {
      const resource = await discovery.find(apiVersion, kind, signal);
      const group = groupOf(apiVersion);
      if (resource || group === '') return resource;
      for (const version of await versionsOf(http, group, signal)) {
        const other = version === apiVersion ? undefined : await discovery.find(version, kind, signal);
        if (other) return other;
      }
      return undefined;
    },
    forget: groupVersions.forget,
    async namespacedKinds(signal) {
      const versions = await listedVersions(http, signal);
      const unreadable: { apiVersion: string; message: string }[] = [];
      const lists = await Promise.all(
        [...versions].map(async (apiVersion) => {
          try {
            return await groupVersions.load(apiVersion, signal, true).resources;
          } catch (error) {
            if (!isAnswerOfGroup(error, apiVersion)) throw error;
            // A group that was listed a moment ago may have gone with its last definition.
            const isListed = !hasStatus(error, 404) || (await listedVersions(http, signal)).has(apiVersion);
            if (isListed) unreadable.push({ apiVersion, message: errorMessage(error) });
            return [];
          }
        }),
      );
      const kinds = lists
        .flat()
        .filter(({ namespaced, verbs }) => namespaced && verbs.includes('list') && verbs.includes('delete'));
      const byKind = Map.groupBy(kinds, groupKindOf);
      return { kinds: [...byKind.values()].flatMap(([first]) => first ?? []), unreadable };
    },
  };
  return discovery;
}

function createGroupVersions(http: KubeHttp): GroupVersions {
  const groupVersions = new Map<string, GroupVersion>();
  const read = async (apiVersion: string, signal: AbortSignal, isAdvertised: boolean): Promise<readonly Resource[]> => {
    try {
      const { body } = await http({ method: 'GET', path: pathOf(apiVersion), signal });
      return listAt(body, 'resources').flatMap((item) => toResource(item, apiVersion));
    } catch (error) {
      // Every API server serves the core group, so a 404 for it does not come from one.
      if (hasStatus(error, 404) && !isAdvertised && groupOf(apiVersion) !== '') return [];
      throw isAnswerOfGroup(error, apiVersion) && error instanceof ClusterError ? silentApi(apiVersion, error) : error;
    }
  };
  return {
    get: (apiVersion) => groupVersions.get(apiVersion),
    load(apiVersion, signal, isAdvertised = false) {
      const loading = { resources: read(apiVersion, signal, isAdvertised), readAt: Date.now() };
      groupVersions.set(apiVersion, loading);
      loading.resources.catch(() => {
        if (groupVersions.get(apiVersion) === loading) groupVersions.delete(apiVersion);
      });
      return loading;
    },
    forget: (apiVersion) => {
      groupVersions.delete(apiVersion);
    },
  };
}

/** Lists the group versions that the cluster advertises, the preferred ones of each group first. */
async function listedVersions(http: KubeHttp, signal: AbortSignal): Promise<Set<string>> {
  const { body } = await http({ method: 'GET', path: '/apis', signal });
  return new Set(['v1', ...listAt(body, 'groups').flatMap(preferredFirst)]);
}

/** Returns whether one group does not answer, as when the backend of an APIService is down, while the cluster itself does. */
export function isAnswerOfGroup(error: unknown, apiVersion: string): boolean {
  if (!(error instanceof ClusterError) || groupOf(apiVersion) === '') return false;
  return error.status === 404 || error.status >= 500;
}

/** Returns the error with the name of the group version that does not answer. */
function silentApi(apiVersion: string, error: ClusterError): ClusterError {
  const { status, reason } = error;
  return new ClusterError(`the API ${apiVersion} does not answer: ${error.message}`, { status, reason, cause: error });
}

function preferredFirst(group: unknown): string[] {
  const versions = listAt(group, 'versions').map((version) => textAt(version, 'groupVersion'));
  return [textAt(group, 'preferredVersion', 'groupVersion'), ...versions].flatMap((version) => version ?? []);
}

async function versionsOf(http: KubeHttp, group: string, signal: AbortSignal): Promise<string[]> {
  try {
    const { body } = await http({ method: 'GET', path: `/apis/${group}`, signal });
    return listAt(body, 'versions').flatMap((version) => textAt(version, 'groupVersion') ?? []);
  } catch (error) {
    if (hasStatus(error, 404)) return [];
    throw error;
  }
}

/** Returns the path of a group version: `/api/v1` or `/apis/apps/v1`. */
export function pathOf(apiVersion: string): string {
  return apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
}

function toResource(item: unknown, apiVersion: string): Resource[] {
  const plural = textAt(item, 'name');
  const kind = textAt(item, 'kind');
  if (!isRecord(item) || !plural || !kind || plural.includes('/')) return [];
  const verbs = listAt(item, 'verbs').filter((verb): verb is string => typeof verb === 'string');
  return [{ apiVersion, kind, plural, namespaced: item.namespaced === true, verbs }];
}
