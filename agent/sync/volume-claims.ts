import { mapConcurrent } from '../concurrency/semaphore.ts';
import { ClusterError, hasStatus } from '../kube/api-error.ts';
import type { Cluster } from '../kube/cluster.ts';
import { passConcurrency } from '../kube/read-objects.ts';
import { groupOf, type KubeObject, type ObjectId } from '../object/kube-object.ts';

/** Finds the volume claims that the cluster would delete because one of their owners is deleted. */
export interface VolumeClaims {
  /** Returns why deleting this object needs a confirmation; undefined when no claim goes with it. Lists each namespace once. */
  lossReason(id: ObjectId, uid: string | undefined): Promise<string | undefined>;
}

interface OwnedClaims {
  /** Name of one claim, by the uid of each of its direct and indirect owners. */
  readonly claimByOwner: ReadonlyMap<string, string>;
  /** The reason that there may be more claims than were found; undefined when all could be read. */
  readonly unreadable: string | undefined;
}

type OwnerReference = NonNullable<KubeObject['metadata']['ownerReferences']>[number];

const claimKind = { apiVersion: 'v1', kind: 'PersistentVolumeClaim' } as const;

export function createVolumeClaims(cluster: Cluster, signal: AbortSignal): VolumeClaims {
  const ownedByNamespace = new Map<string, Promise<OwnedClaims>>();
  const ownedIn = (namespace: string) => {
    const owned = ownedByNamespace.get(namespace) ?? findOwned(cluster, namespace, signal);
    ownedByNamespace.set(namespace, owned);
    return owned;
  };
  return {
    async lossReason(id, uid = '') {
      const isCustom = isCustomKind(id);
      // A cluster-scoped object may own claims in any namespace, but none of the cluster's own kinds does.
      if (id.namespace === '' && !isCustom) return undefined;
      const { claimByOwner, unreadable } = await ownedIn(id.namespace);
      const claim = claimByOwner.get(uid);
      if (claim !== undefined) return `the data of volume claim ${claim} would be lost`;
      // An account that may not list claims may still delete its own objects; only operators commonly own claims.
      return isCustom && unreadable !== undefined
        ? `it cannot be seen what would go with it: ${unreadable}`
        : undefined;
    },
  };
}

/** Returns whether the claim belongs to a pod's ephemeral volume, and so is meant to go with the pod. */
export function isEphemeralVolumeClaim({ metadata: { ownerReferences = [] } }: KubeObject): boolean {
  return ownerReferences.length > 0 && ownerReferences.every(isPod);
}

async function findOwned(cluster: Cluster, namespace: string, signal: AbortSignal): Promise<OwnedClaims> {
  const claimByOwner = new Map<string, string>();
  let unreadable: string | undefined;
  const readIfPermitted = async <Result>(read: () => Promise<Result>): Promise<Result | undefined> => {
    try {
      return await read();
    } catch (error) {
      // Every cluster serves claims, so a 404 does not prove that there are none.
      if (!(error instanceof ClusterError) || !(hasStatus(error, 403) || hasStatus(error, 404))) throw error;
      unreadable ??= error.message;
      return undefined;
    }
  };
  /** Records the owners of these objects, then the owners of those. */
  const recordOwners = async (
    dependents: readonly { object: KubeObject; claim: string; namespace: string }[],
  ): Promise<void> => {
    const newOwners = dependents.flatMap(({ object, claim, namespace: ownNamespace }) =>
      (object.metadata.ownerReferences ?? []).flatMap((owner) => {
        if (owner.uid === undefined || claimByOwner.has(owner.uid)) return [];
        claimByOwner.set(owner.uid, claim);
        return [{ owner, claim, namespace: ownNamespace }];
      }),
    );
    const owners = await mapConcurrent(
      newOwners,
      passConcurrency,
      async ({ owner, claim, namespace: ownNamespace }) => {
        const object = await readIfPermitted(() => cluster.getMetadata(idOfOwner(owner, ownNamespace), signal));
        return object && object.metadata.uid === owner.uid ? [{ object, claim, namespace: ownNamespace }] : [];
      },
    );
    if (newOwners.length > 0) await recordOwners(owners.flat());
  };
  await readIfPermitted(async () => {
    for await (const { objects } of cluster.listVersioned(claimKind, { namespace, metadataOnly: true }, signal)) {
      const persistent = objects.filter(
        (claim) => claim.metadata.deletionTimestamp === undefined && !isEphemeralVolumeClaim(claim),
      );
      await recordOwners(
        persistent.map((object) => ({
          object,
          claim: object.metadata.name,
          namespace: object.metadata.namespace ?? namespace,
        })),
      );
    }
  });
  return { claimByOwner, unreadable };
}

/** Names an owner: it is cluster-scoped or in the namespace of its dependents. */
function idOfOwner({ apiVersion, kind, name }: OwnerReference, namespace: string): ObjectId {
  return { apiVersion, kind, namespace, name };
}

function isPod({ apiVersion, kind }: OwnerReference): boolean {
  return apiVersion === 'v1' && kind === 'Pod';
}

/** Returns whether the kind is a custom resource, or from an aggregated API, rather than one of the cluster's own. */
function isCustomKind({ apiVersion }: ObjectId): boolean {
  const group = groupOf(apiVersion);
  return group.includes('.') && !group.endsWith('.k8s.io');
}
