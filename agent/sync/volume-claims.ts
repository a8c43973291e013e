import { mapConcurrent } from '../concurrency/semaphore.ts';
import { ClusterError, hasStatus } from '../kube/api-error.ts';
import type { Cluster } from '../kube/client.ts';
import { passConcurrency } from '../kube/read-objects.ts';
import { groupOf, type KubeObject, type ObjectId } from '../object/kube-object.ts';

/** The volume claims that the cluster would delete because an owner of theirs is deleted. */
export interface Claims {
  /** Why this object is not to be deleted unseen; undefined when no claim goes with it. Each namespace is looked at once. */
  whyLost(id: ObjectId, uid: string | undefined): Promise<string | undefined>;
}

interface Owned {
  /** By the uid of an owner, or of an owner's owner: the name of a claim. */
  readonly claims: ReadonlyMap<string, string>;
  /** Why there may be more of them. */
  readonly unseen: string | undefined;
}

type OwnerReference = NonNullable<KubeObject['metadata']['ownerReferences']>[number];

const claimKind = { apiVersion: 'v1', kind: 'PersistentVolumeClaim' } as const;

export function createClaims(cluster: Cluster, signal: AbortSignal): Claims {
  const looked = new Map<string, Promise<Owned>>();
  const ownedIn = (namespace: string) => {
    const owned = looked.get(namespace) ?? findOwned(cluster, namespace, signal);
    looked.set(namespace, owned);
    return owned;
  };
  return {
    async whyLost(id, uid = '') {
      const isCustom = isOperators(id);
      // What is in no namespace may own claims in any. Of the cluster's own kinds, none does.
      if (id.namespace === '' && !isCustom) return undefined;
      const { claims, unseen } = await ownedIn(id.namespace);
      const claim = claims.get(uid);
      if (claim !== undefined) return `the data of volume claim ${claim} would be lost`;
      // An account that may not look has a right to delete its own: but operators mostly give claims an owner.
      return isCustom && unseen !== undefined ? `it cannot be seen what would go with it: ${unseen}` : undefined;
    },
  };
}

/** A claim that is made for a pod's ephemeral volume, and meant to go with the pod. */
export function comesWithPod({ metadata: { ownerReferences = [] } }: KubeObject): boolean {
  return ownerReferences.length > 0 && ownerReferences.every(isPod);
}

async function findOwned(cluster: Cluster, namespace: string, signal: AbortSignal): Promise<Owned> {
  const claims = new Map<string, string>();
  let unseen: string | undefined;
  const look = async <Result>(work: () => Promise<Result>): Promise<Result | undefined> => {
    try {
      return await work();
    } catch (error) {
      // Claims are served everywhere: not found does not mean that there are none.
      if (!(error instanceof ClusterError) || !(hasStatus(error, 403) || hasStatus(error, 404))) throw error;
      unseen ??= error.message;
      return undefined;
    }
  };
  /** Notes the owners of these, and of their owners. */
  const climb = async (objects: readonly { object: KubeObject; claim: string; place: string }[]): Promise<void> => {
    const fresh = objects.flatMap(({ object, claim, place }) =>
      (object.metadata.ownerReferences ?? []).flatMap((owner) => {
        if (owner.uid === undefined || claims.has(owner.uid)) return [];
        claims.set(owner.uid, claim);
        return [{ owner, claim, place }];
      }),
    );
    const above = await mapConcurrent(fresh, passConcurrency, async ({ owner, claim, place }) => {
      const object = await look(() => cluster.metadata(idOfOwner(owner, place), signal));
      return object && object.metadata.uid === owner.uid ? [{ object, claim, place }] : [];
    });
    if (fresh.length > 0) await climb(above.flat());
  };
  await look(async () => {
    for await (const { objects } of cluster.versioned(claimKind, { namespace, partial: true }, signal)) {
      const staying = objects.filter((claim) => claim.metadata.deletionTimestamp === undefined && !comesWithPod(claim));
      await climb(
        staying.map((object) => ({
          object,
          claim: object.metadata.name,
          place: object.metadata.namespace ?? namespace,
        })),
      );
    }
  });
  return { claims, unseen };
}

/** An owner is in the namespace of what it owns, or in none. */
function idOfOwner({ apiVersion, kind, name }: OwnerReference, namespace: string): ObjectId {
  return { apiVersion, kind, namespace, name };
}

function isPod({ apiVersion, kind }: OwnerReference): boolean {
  return apiVersion === 'v1' && kind === 'Pod';
}

/** Of a kind that somebody added to the cluster. */
function isOperators({ apiVersion }: ObjectId): boolean {
  const group = groupOf(apiVersion);
  return group.includes('.') && !group.endsWith('.k8s.io');
}
