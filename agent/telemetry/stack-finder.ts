import type { Ownership } from '../inventory/object-owners.ts';
import { ClusterError } from '../kube/api-error.ts';
import type { Cluster } from '../kube/cluster.ts';
import { keyOf, type ObjectId } from '../object/kube-object.ts';

/** Finds the stack that an object belongs to, directly or through its owners. */
export interface StackFinder {
  /** Finds the object's stack; undefined for none. Rejects when the cluster does not respond. */
  find(object: ObjectId, uid: string, signal: AbortSignal): Promise<StackMembership | undefined>;
}

/** An object's membership in a stack. */
export interface StackMembership {
  readonly stackId: string;
  /** Returns whether the object still belongs to the stack. */
  isCurrent(): boolean;
}

/** Maximum number of owners between an object and what a stack lists; a CronJob, its Job and its Pod need two. */
const maxOwnerDepth = 5;
const maxRemembered = 5_000;
/** Milliseconds for which it is remembered that an object belongs to no stack; it may be adopted later. */
const strayMs = 60_000;
const namespacesMs = 1_000;

interface Remembered {
  /** Key of the outermost owner that a stack lists; undefined for none. */
  readonly root: string | undefined;
  readonly until: number;
}

/**
 * Creates a finder that reads the metadata of an object's owners and remembers the result. It reads nothing about objects in
 * namespaces in which no stack has anything, which is most of a cluster.
 */
export function createStackFinder(
  cluster: Pick<Cluster, 'getMetadata'>,
  ownership: Pick<Ownership, 'ownerOf' | 'namespaces'>,
): StackFinder {
  const remembered = new Map<string, Remembered>();
  let namespaces: { readonly names: ReadonlySet<string>; readonly until: number } | undefined;

  const hasStacks = (namespace: string) => {
    if (!namespaces || namespaces.until < performance.now())
      namespaces = { names: ownership.namespaces(), until: performance.now() + namespacesMs };
    return namespaces.names.has(namespace);
  };
  const remember = (uid: string, root: string | undefined) => {
    remembered.delete(uid);
    remembered.set(uid, { root, until: root === undefined ? performance.now() + strayMs : Number.POSITIVE_INFINITY });
    const [oldest] = remembered.keys();
    if (remembered.size > maxRemembered && oldest !== undefined) remembered.delete(oldest);
  };
  const rootOf = async (id: ObjectId, uid: string, depth: number, signal: AbortSignal): Promise<string | undefined> => {
    if (ownership.ownerOf(keyOf(id)) !== undefined) return keyOf(id);
    if (depth === 0) return undefined;
    const object = await cluster.getMetadata(id, signal).catch(ignoreUnreadable);
    if (!object || (uid !== '' && object.metadata.uid !== uid)) return undefined;
    for (const { apiVersion, kind, name, uid: owner } of object.metadata.ownerReferences ?? []) {
      const parent = { apiVersion, kind, name, namespace: id.namespace };
      if (ownership.ownerOf(keyOf({ ...parent, namespace: '' })) !== undefined)
        return keyOf({ ...parent, namespace: '' });
      const root = await rootOf(parent, owner ?? '', depth - 1, signal);
      if (root !== undefined) return root;
    }
    return undefined;
  };
  return {
    async find(id, uid, signal) {
      const own = ownership.ownerOf(keyOf(id)) === undefined ? undefined : keyOf(id);
      if (own === undefined && !hasStacks(id.namespace)) return undefined;
      const cached = remembered.get(uid);
      const isCached = cached !== undefined && cached.until > performance.now();
      const root = own ?? (isCached ? cached.root : await rootOf(id, uid, maxOwnerDepth, signal));
      if (own === undefined && !isCached && uid !== '') remember(uid, root);
      const stackId = root === undefined ? undefined : ownership.ownerOf(root);
      if (root === undefined || stackId === undefined) return undefined;
      return { stackId, isCurrent: () => ownership.ownerOf(root) === stackId };
    },
  };
}

/** Lets an object without readable metadata count as one without owners; rethrows errors that may pass. */
function ignoreUnreadable(error: unknown): undefined {
  if (error instanceof ClusterError && error.status >= 400 && error.status < 500 && error.status !== 429) return;
  throw error;
}
