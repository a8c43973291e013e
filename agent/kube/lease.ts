import { at, type KubeObject, type ObjectId, textAt } from '../object/kube-object.ts';
import { hasStatus } from './api-error.ts';
import type { Cluster } from './cluster.ts';

/** A Lease of the cluster, as one of its candidates sees it. */
export interface Lease {
  /** Takes or renews the lease unless another process holds it. Rejects with ClusterError. */
  attempt(signal: AbortSignal): Promise<'held' | 'other'>;
  /** Gives the lease back if this process holds it. Rejects with ClusterError. */
  release(signal: AbortSignal): Promise<void>;
  /** Holder as this process observed it last; empty for none. */
  readonly holder: string;
  /** Time (`performance.now()`) just before this process took or renewed the lease last; undefined before the first time. */
  readonly renewedAt: number | undefined;
}

/** Opens the lease for a candidate, which is named `candidate` and promises to renew within `leaseMs`. */
export function openLease(
  cluster: Pick<Cluster, 'get' | 'create' | 'replace'>,
  { namespace, name, candidate, leaseMs }: { namespace: string; name: string; candidate: string; leaseMs: number },
): Lease {
  const id: ObjectId = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', namespace, name };
  // The clocks of two machines are never compared: what counts is how long ago this process saw the lease change.
  let observed = { spec: '', at: 0 };
  let holder = '';
  let renewedAt: number | undefined;
  const leaseObject = (live: KubeObject | undefined, isOwn: boolean): KubeObject => {
    const now = new Date().toISOString().replace('Z', '000Z');
    const transitions = Number(at(live, 'spec', 'leaseTransitions') ?? 0);
    return {
      apiVersion: id.apiVersion,
      kind: id.kind,
      metadata: live?.metadata ?? { name, namespace },
      spec: {
        holderIdentity: candidate,
        leaseDurationSeconds: Math.ceil(leaseMs / 1_000),
        acquireTime: (isOwn && textAt(live, 'spec', 'acquireTime')) || now,
        renewTime: now,
        leaseTransitions: live && !isOwn ? transitions + 1 : transitions,
      },
    };
  };
  return {
    async attempt(signal) {
      const askedAt = performance.now();
      const live = await cluster.get(id, signal);
      const spec = JSON.stringify(live?.spec ?? {});
      if (spec !== observed.spec) observed = { spec, at: askedAt };
      holder = textAt(live, 'spec', 'holderIdentity') ?? '';
      const isOwn = holder === candidate;
      const expiresAt = observed.at + 1_000 * Number(at(live, 'spec', 'leaseDurationSeconds') ?? 0);
      if (holder !== '' && !isOwn && askedAt < expiresAt) return 'other';
      const renewed = leaseObject(live, isOwn);
      try {
        await (live ? cluster.replace(renewed, signal) : cluster.create(renewed, signal));
      } catch (error) {
        if (hasStatus(error, 409)) return 'other';
        throw error;
      }
      holder = candidate;
      renewedAt = askedAt;
      return 'held';
    },
    async release(signal) {
      const live = await cluster.get(id, signal);
      if (!live || textAt(live, 'spec', 'holderIdentity') !== candidate) return;
      const spec = { ...(live.spec as object), holderIdentity: '', leaseDurationSeconds: 1 };
      await cluster.replace({ ...live, spec }, signal);
    },
    get holder() {
      return holder;
    },
    get renewedAt() {
      return renewedAt;
    },
  };
}
