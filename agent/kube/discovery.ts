import { groupKindOf, groupOf, isRecord, listAt, textAt } from '../object/kube-object.ts';
import { hasStatus } from './api-error.ts';
import type { KubeHttp } from './http.ts';

/** A kind as the cluster serves it. */
export interface Resource {
  readonly apiVersion: string;
  readonly kind: string;
  /** Name in paths, such as `deployments`. */
  readonly plural: string;
  readonly namespaced: boolean;
  readonly verbs: readonly string[];
}

export interface Discovery {
  /** The kind, or undefined when the cluster does not serve it. Asks once a group version, and again for a kind that it does not know. */
  find(apiVersion: string, kind: string, signal: AbortSignal): Promise<Resource | undefined>;
  /** The same, or the kind in another version of its group: objects outlive the version in which they were made. */
  findAnyVersion(apiVersion: string, kind: string, signal: AbortSignal): Promise<Resource | undefined>;
  /** Asks again at the next look: after a definition was established, or a kind has turned out to be gone. */
  forget(apiVersion: string): void;
  /**
   * Every namespaced kind that can be listed and deleted, once each: in its group's preferred version, or in another. Asks anew, each time, and fails when it
   * cannot see them all.
   */
  contentKinds(signal: AbortSignal): Promise<Resource[]>;
}

/** How often a kind that is unknown is looked for again. */
const missingMs = 1_000;

interface Known {
  readonly resources: Promise<readonly Resource[]>;
  readonly at: number;
}

export function createDiscovery(http: KubeHttp): Discovery {
  const known = new Map<string, Known>();

  /** `isNamed`: the cluster says that it serves this version. */
  const read = async (apiVersion: string, signal: AbortSignal, isNamed: boolean): Promise<readonly Resource[]> => {
    try {
      const { body } = await http({ method: 'GET', path: pathOf(apiVersion), signal });
      return listAt(body, 'resources').flatMap((item) => toResource(item, apiVersion));
    } catch (error) {
      // The core is always served: such an answer is not the API server's.
      if (hasStatus(error, 404) && !isNamed && groupOf(apiVersion) !== '') return [];
      throw error;
    }
  };
  const load = (apiVersion: string, signal: AbortSignal, isNamed = false) => {
    const entry = { resources: read(apiVersion, signal, isNamed), at: Date.now() };
    known.set(apiVersion, entry);
    entry.resources.catch(() => {
      if (known.get(apiVersion) === entry) known.delete(apiVersion);
    });
    return entry;
  };

  const discovery: Discovery = {
    async find(apiVersion, kind, signal) {
      const entry = known.get(apiVersion) ?? load(apiVersion, signal);
      const find = (resources: readonly Resource[]) => resources.find((resource) => resource.kind === kind);
      // The read may be another stack's, which was given up meanwhile: then this one asks itself.
      const first = await entry.resources.catch(() => load(apiVersion, signal).resources);
      const found = find(first);
      if (found || Date.now() - entry.at < missingMs) return found;
      const newer = known.get(apiVersion);
      return find(await (newer && newer !== entry ? newer : load(apiVersion, signal)).resources);
    },
    async findAnyVersion(apiVersion, kind, signal) {
      const found = await discovery.find(apiVersion, kind, signal);
      const group = groupOf(apiVersion);
      if (found || group === '') return found;
      for (const version of await versionsOf(http, group, signal)) {
        const other = version === apiVersion ? undefined : await discovery.find(version, kind, signal);
        if (other) return other;
      }
      return undefined;
    },
    forget: (apiVersion) => {
      known.delete(apiVersion);
    },
    async contentKinds(signal) {
      const { body } = await http({ method: 'GET', path: '/apis', signal });
      const versions = new Set(['v1', ...listAt(body, 'groups').flatMap(preferredFirst)]);
      const lists = await Promise.all([...versions].map((apiVersion) => load(apiVersion, signal, true).resources));
      const kinds = lists
        .flat()
        .filter(({ namespaced, verbs }) => namespaced && verbs.includes('list') && verbs.includes('delete'));
      const byKind = Map.groupBy(kinds, groupKindOf);
      return [...byKind.values()].flatMap(([first]) => first ?? []);
    },
  };
  return discovery;
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

/** `/api/v1` or `/apis/apps/v1`. */
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
