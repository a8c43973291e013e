import type { AgentNamespace } from '../../contract/agent-objects.ts';
import type { ObjectCache } from '../cache/object-cache.ts';
import type { Inventories } from '../inventory/inventory.ts';
import type { Ownership, StackView } from '../inventory/object-owners.ts';
import type { OrphanDiscovery } from '../inventory/orphan-discovery.ts';
import type { InventoryHeader } from '../inventory/shards.ts';
import type { Cluster } from '../kube/cluster.ts';
import type { NamespaceScope } from '../manifest/parse.ts';
import type { KindId } from '../object/kube-object.ts';
import type { StackEvent } from '../target/stack-event.ts';
import type { Entry } from '../target/target-state.ts';
import type { History } from './drift.ts';
import type { RepairBackoff } from './repair-backoff.ts';

/** The parts of the agent that a pass works with; `contextForStack` narrows them to one stack. */
export interface SyncContext {
  readonly cluster: Cluster;
  readonly inventories: Inventories;
  readonly ownership: Ownership;
  readonly orphanDiscovery: OrphanDiscovery;
  readonly scope: NamespaceScope;
  readonly agentNamespace: AgentNamespace;
  /** A pass that would delete more objects than this holds the deletions until they are confirmed. */
  readonly maxDeletions: number;
  /** Reads a manifest by its checksum; undefined when the agent has not received it. */
  readManifest(checksum: string): Promise<Uint8Array | undefined>;
  readonly registry: StackRegistry;
  /** The objects as passes and watches saw them last. */
  readonly objectCache: ObjectCache;
  /** Resolves once these kinds, of which the pass has read objects, are watched as far as they can be. */
  untilWatched(kinds: Iterable<KindId>): Promise<void>;
  readonly repairBackoff: RepairBackoff;
}

/** Answers what a pass over one stack has to know about the agent's other stacks. */
export interface StackRegistry {
  /**
   * Reads the manifests of these stacks, so that `get` knows their desired keys. Returns the stacks whose manifest has not arrived.
   */
  loadDesired(stackIds: Iterable<string>): Promise<readonly string[]>;
  /** Returns whether the desired keys of a stack are those of its current entry. */
  isDesiredLoaded(stackId: string): boolean;
  /** Returns the stack with the desired keys that were loaded last. */
  get(stackId: string): StackView;
  /** Returns how far the deployment of a stack has come, for stacks that depend on it. */
  progressOf(stackId: string): StackProgress;
  /** Returns the ids of the generator's active stacks, other than `except`. */
  activeStacksOf(generator: string, except: string): string[];
  /** Schedules passes over stacks that lost objects to another stack. */
  objectsTakenOver(stackIds: Iterable<string>): void;
}

export type StackProgress =
  /** The target state has no entry for the stack. */
  | { readonly kind: 'absent' }
  | { readonly kind: 'removing' }
  /** The cluster holds something newer than the broker knows. */
  | { readonly kind: 'ahead' }
  /** The current entry is not applied; the message is the one that was reported last. */
  | { readonly kind: 'pending'; readonly message: string }
  | { readonly kind: 'applied'; readonly entry: Entry };

/** One pass over one stack. */
export interface Pass {
  readonly entry: Entry;
  readonly epoch: bigint;
  /** True for this process's first pass over the stack. */
  readonly isFirst: boolean;
  /** True when this entry was applied in full before: the pass then only repairs drift, and waits for no wave and no dependency. */
  readonly isAlreadyApplied: boolean;
  /** Progress of this deployment in earlier passes, which distinguishes drift from changes of the deployment itself. */
  readonly history: History;
  readonly signal: AbortSignal;
  /** Notes which stage runs, for the log. */
  enterStage(name: string): void;
  /** Throws Superseded when the pass has become pointless: the entry changed, or the agent was paused or fenced. */
  checkpoint(): void;
}

export type PassResult =
  /** The stack is as desired; there is nothing left to do. */
  | {
      readonly kind: 'settled';
      readonly event: StackEvent;
      /** The drift that was repaired or left as found. */
      readonly drift?: StackEvent | undefined;
      /** Milliseconds until the next pass is due, when a repair was deferred because somebody keeps reverting it. */
      readonly recheckMs?: number | undefined;
    }
  /**
   * The stack is not as desired and needs another pass. With `waiting` the cause usually resolves by itself, so reporting can wait.
   */
  | { readonly kind: 'unsettled'; readonly event: StackEvent; readonly waiting: boolean }
  /** The remaining work waits until other objects are healthy. */
  | { readonly kind: 'waiting'; readonly event: StackEvent }
  /** The pass repaired its own preconditions, such as an inventory, and has to run again at once. */
  | { readonly kind: 'repeat' }
  /** Another process has begun a newer order, with this header; the pass did nothing. */
  | { readonly kind: 'overtaken'; readonly by: InventoryHeader };

/** Ends a pass whose entry is no longer current. */
export class Superseded extends Error {
  override readonly name = 'Superseded';
}

/** Formats a stack as "generator/name". */
export function fullName({ stack, generator }: Pick<Entry, 'stack' | 'generator'>): string {
  return stack.includes('/') ? stack : `${generator}/${stack}`;
}
