import type { ObjectCache } from '../cache/object-cache.ts';
import type { Inventories, Inventory } from '../inventory/inventory.ts';
import type { Ownership, StackView } from '../inventory/object-owners.ts';
import type { OrphanDiscovery } from '../inventory/orphan-discovery.ts';
import type { Header } from '../inventory/shards.ts';
import type { Cluster } from '../kube/client.ts';
import type { Scope } from '../manifest/parse.ts';
import { checksumOf } from '../object/compare.ts';
import { andMore, idOf, type KubeObject, keyOf, nameOf } from '../object/kube-object.ts';
import { type Change, eventOf, type Outcome, type StackEvent } from '../target/stack-event.ts';
import type { Entry } from '../target/target-state.ts';
import type { Held } from './deletion-protection.ts';
import type { History } from './drift.ts';
import type { RepairBackoff } from './repair-backoff.ts';

/** What every pass of an agent works with. */
export interface SyncContext {
  readonly cluster: Cluster;
  readonly inventories: Inventories;
  readonly ownership: Ownership;
  readonly orphanDiscovery: OrphanDiscovery;
  readonly scope: Scope;
  readonly maxDeletions: number;
  /** Bytes of a manifest that the agent holds. */
  readManifest(checksum: string): Promise<Uint8Array | undefined>;
  readonly registry: StackRegistry;
  /** What passes and watches saw last. */
  readonly objectCache: ObjectCache;
  readonly repairBackoff: RepairBackoff;
}

/** The agent's other stacks, as far as one stack has to know them. */
export interface StackRegistry {
  /** Learns what these stacks desire, from their manifests. Answers those whose manifest is not here yet. */
  learn(stackIds: Iterable<string>): Promise<readonly string[]>;
  /** Whether what a stack desires is known as of what is told now. */
  isLearned(stackId: string): boolean;
  /** A stack as it was learned last. */
  get(stackId: string): StackView;
  /** How far a stack is that another one depends on. */
  standing(stackId: string): Standing;
  /** Ids of the other active stacks of a generator. */
  activeOf(generator: string, except: string): string[];
  /** Told when a stack took over objects of these. */
  taken(from: Iterable<string>): void;
}

export type Standing =
  /** Nobody speaks of it here. */
  | { readonly kind: 'absent' }
  | { readonly kind: 'removing' }
  /** What is here is newer than what the broker knows. */
  | { readonly kind: 'ahead' }
  /** Not applied as it is desired now; the message says what was last told of it. */
  | { readonly kind: 'pending'; readonly message: string }
  | { readonly kind: 'applied'; readonly entry: Entry };

/**
 * The workshop for one stack: its objects are touched only as the ServiceAccount that is told for it, and fields that others have
 * set are taken over only when that is what is told.
 */
export function actingFor(
  { stackId, serviceAccount, conflict }: Pick<Entry, 'stackId' | 'serviceAccount' | 'conflict'>,
  context: SyncContext,
): SyncContext {
  const cluster = noting(
    serviceAccount === '' ? context.cluster : context.cluster.as(serviceAccount),
    stackId,
    context,
  );
  // What this stack applied before is its own: putting that right takes nothing over.
  const isOwn = (object: KubeObject) =>
    context.objectCache.get(stackId)?.objects.get(keyOf(idOf(object)))?.checksum === checksumOf(object);
  return { ...context, cluster: conflict === 'refuse' ? withoutForce(cluster, isOwn) : cluster };
}

/** The same cluster; what is applied is noted as this stack's own doing. */
function noting(cluster: Cluster, stackId: string, { objectCache }: Pick<SyncContext, 'objectCache'>): Cluster {
  return {
    ...cluster,
    async apply(object, resource, options, signal) {
      const askedAt = performance.now();
      const applied = await cluster.apply(object, resource, options, signal);
      if (!options.dryRun) objectCache.wrote(stackId, applied.object, askedAt);
      return applied;
    },
  };
}

function withoutForce(cluster: Cluster, isOwn: (object: KubeObject) => boolean): Cluster {
  return {
    ...cluster,
    apply: (object, resource, options, signal) =>
      cluster.apply(object, resource, { ...options, force: isOwn(object) }, signal),
  };
}

/** Uids of what the agent's other stacks have, as far as it was seen. */
export function uidsOfOtherStacks({ objectCache, ownership }: SyncContext, stackId: string): Set<string> {
  const others = [...objectCache.stackIds()].filter((other) => other !== stackId);
  const uids = others.flatMap((other) =>
    [...(objectCache.get(other)?.objects ?? [])].flatMap(([key, { uid }]) =>
      uid !== '' && ownership.ownerOf(key) === other ? [uid] : [],
    ),
  );
  return new Set(uids);
}

/** One pass over one stack. */
export interface Pass {
  readonly entry: Entry;
  readonly epoch: bigint;
  /** False for a stack that this process has worked on before. */
  readonly first: boolean;
  /** This very desire was applied in full before: what is written now only puts things right, and waits for nothing. */
  readonly again: boolean;
  /** How far this deployment has come before: tells drift from what the deployment changes. */
  readonly history: History;
  readonly signal: AbortSignal;
  /** Throws Superseded when there is no more sense in going on: another desire, paused, fenced. */
  checkpoint(): void;
}

export type PassResult =
  /** As it should be; nothing more to do. */
  | {
      readonly kind: 'settled';
      readonly event: StackEvent;
      /** What somebody else changed or deleted, and was put right or left. */
      readonly drift?: StackEvent | undefined;
      /** To be looked at again after so long: something was left as it is because of a fight. */
      readonly resumeMs?: number | undefined;
    }
  /** Not as it should be; to be tried again. `waiting`: for something that mostly comes by itself, so there is no hurry to tell. */
  | { readonly kind: 'unsettled'; readonly event: StackEvent; readonly waiting: boolean }
  /** What is left to do has to wait for other objects to be healthy. */
  | { readonly kind: 'waiting'; readonly event: StackEvent }
  /** Something was put right; to be done again at once. */
  | { readonly kind: 'again' }
  /** Another process was told something newer, and has begun it: nothing was done. */
  | { readonly kind: 'overtaken'; readonly by: Header };

export class Superseded extends Error {
  override readonly name = 'Superseded';
}

/** What the inventory's header says after this pass has begun, or, with `removed`, has ended. */
export function headerFor({ entry, epoch }: Pick<Pass, 'entry' | 'epoch'>, removed: boolean): Omit<Header, 'shards'> {
  const { generator, order, generation, deploymentId } = entry;
  return { stack: fullName(entry), generator, epoch, order, generation, deploymentId, removed };
}

/** What the inventory says of something newer than this pass is about; undefined when it says nothing of that kind. */
export function newerThan({ entry, epoch }: Pass, { header }: Inventory): Header | undefined {
  const isNewer = header && (header.epoch > epoch || (header.epoch === epoch && header.order > entry.order));
  return isNewer ? header : undefined;
}

/** "generator/name", for people. */
export function fullName({ stack, generator }: Pick<Entry, 'stack' | 'generator'>): string {
  return stack.includes('/') ? stack : `${generator}/${stack}`;
}

/** A pass that has to be done again; `waiting`: for something that mostly comes by itself. */
export function unsettled(
  { entry }: Pick<Pass, 'entry'>,
  outcome: Outcome,
  message: string,
  changes: readonly Change[],
  waiting = false,
): PassResult {
  return { kind: 'unsettled', event: eventOf(entry, outcome, message, changes), waiting };
}

/** Why a pass deletes nothing while a stack might want what this one has dropped. */
export const manifestsMissing = 'other manifests have to be received before anything is deleted';

/** One sentence for a list of failures, and the first of them. */
export function summary(what: string, failed: readonly Change[]): string {
  const [first] = failed;
  if (!first) return what;
  return `${what}: ${nameOf(first.object)}: ${first.message}${andMore(failed)}`;
}

/** Nothing of what is held was deleted; it is looked at again later. */
export function holdBack(entry: Entry, message: string, { changes, keys }: Held): PassResult {
  return { kind: 'unsettled', event: eventOf(entry, 'held', message, changes, keys), waiting: false };
}
