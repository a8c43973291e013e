import type { Ownership } from '../inventory/object-owners.ts';
import { ClusterError } from '../kube/api-error.ts';
import type { Cluster } from '../kube/cluster.ts';
import { keyOf, type ObjectId } from '../object/kube-object.ts';

/** Says which stack an object belongs to: by itself, or by what it is owned by. */
export interface Owners {
  /** Undefined for what belongs to none. Rejects when the cluster does not answer. */
  find(object: ObjectId, uid: string, signal: AbortSignal): Promise<Owned | undefined>;
}

export interface Owned {
  readonly stackId: string;
  /** Whether it is still so. */
  holds(): boolean;
}

/** A Pod of a Job of a CronJob is three away from what a stack lists. */
const farthest = 5;
const mostRemembered = 5_000;
/** What belongs to no stack may do so later. */
const forgetMs = 60_000;
const namespacesMs = 1_000;

interface Remembered {
  /** Of the object that a stack lists, or would list. */
  readonly root: string | undefined;
  readonly until: number;
}

/**
 * Looks an object's owners up, one metadata each, and remembers. Objects in namespaces in which no stack has anything are not looked
 * up: most of a cluster is no matter of Brokkr's.
 */
export function createOwners(
  cluster: Pick<Cluster, 'getMetadata'>,
  ownership: Pick<Ownership, 'ownerOf' | 'namespaces'>,
): Owners {
  const remembered = new Map<string, Remembered>();
  let namespaces: { readonly names: ReadonlySet<string>; readonly until: number } | undefined;

  const isNear = (namespace: string) => {
    if (!namespaces || namespaces.until < performance.now())
      namespaces = { names: ownership.namespaces(), until: performance.now() + namespacesMs };
    return namespaces.names.has(namespace);
  };
  const remember = (uid: string, root: string | undefined) => {
    remembered.delete(uid);
    remembered.set(uid, { root, until: root === undefined ? performance.now() + forgetMs : Number.POSITIVE_INFINITY });
    const [oldest] = remembered.keys();
    if (remembered.size > mostRemembered && oldest !== undefined) remembered.delete(oldest);
  };
  const rootOf = async (id: ObjectId, uid: string, steps: number, signal: AbortSignal): Promise<string | undefined> => {
    if (ownership.ownerOf(keyOf(id)) !== undefined) return keyOf(id);
    if (steps === 0) return undefined;
    const object = await cluster.getMetadata(id, signal).catch((error: unknown) => {
      // What may not be read, or is no object at all, has no owner that could be known.
      if (error instanceof ClusterError && error.status >= 400 && error.status < 500 && error.status !== 429)
        return undefined;
      throw error;
    });
    if (!object || (uid !== '' && object.metadata.uid !== uid)) return undefined;
    for (const { apiVersion, kind, name, uid: owner } of object.metadata.ownerReferences ?? []) {
      const parent = { apiVersion, kind, name, namespace: id.namespace };
      if (ownership.ownerOf(keyOf({ ...parent, namespace: '' })) !== undefined)
        return keyOf({ ...parent, namespace: '' });
      const root = await rootOf(parent, owner ?? '', steps - 1, signal);
      if (root !== undefined) return root;
    }
    return undefined;
  };
  return {
    async find(id, uid, signal) {
      const own = ownership.ownerOf(keyOf(id)) === undefined ? undefined : keyOf(id);
      if (own === undefined && !isNear(id.namespace)) return undefined;
      const known = remembered.get(uid);
      const isKnown = known !== undefined && known.until > performance.now();
      const root = own ?? (isKnown ? known.root : await rootOf(id, uid, farthest, signal));
      if (own === undefined && !isKnown && uid !== '') remember(uid, root);
      const stackId = root === undefined ? undefined : ownership.ownerOf(root);
      if (root === undefined || stackId === undefined) return undefined;
      return { stackId, holds: () => ownership.ownerOf(root) === stackId };
    },
  };
}
