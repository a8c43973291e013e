import type { KindId, KubeObject, ObjectId } from '../object/kube-object.ts';
import type { Discovery, Resource } from './discovery.ts';
import type { TextLine, WatchEvent } from './stream.ts';

/** The Kubernetes API as the agent uses it. Every refusal rejects with a ClusterError, and every wait ends with the signal. */
export interface Cluster {
  readonly discovery: Discovery;
  /** Applies an object server-side as field manager `brokkr`. Returns the stored object, or with `dryRun` what would be stored. */
  apply(object: KubeObject, resource: Resource, options: ApplyOptions, signal: AbortSignal): Promise<ApplyResult>;
  /** Reads an object; undefined when the object or its kind does not exist. */
  get(id: ObjectId, signal: AbortSignal): Promise<KubeObject | undefined>;
  /** Reads an object's metadata. Servers that cannot leave out the rest return it too. */
  getMetadata(id: ObjectId, signal: AbortSignal): Promise<KubeObject | undefined>;
  /** Lists a kind in one namespace, or in all when `namespace` is empty. Returns no object when the kind is not served. */
  list(kind: KindId, options: ListOptions, signal: AbortSignal): Promise<KubeObject[]>;
  /** Lists page by page, for lists that should not be in memory all at once. */
  listPages(kind: KindId, options: ListOptions, signal: AbortSignal): AsyncIterable<KubeObject[]>;
  /** Lists page by page with the version from which a watch continues. Unlike `listPages`, rejects when the kind is not served. */
  listVersioned(kind: KindId, options: ListOptions & MetadataOption, signal: AbortSignal): AsyncIterable<VersionedPage>;
  /** Yields the changes after a version until the server ends the watch. Throws ClusterError 410 for a version that is too old. */
  watch(kind: KindId, options: WatchOptions, signal: AbortSignal): AsyncIterable<WatchEvent>;
  create(object: KubeObject, signal: AbortSignal): Promise<KubeObject>;
  /**
   * Merges `patch` into an object (JSON merge patch): null removes a field, and what the patch does not name is not touched. Rejects
   * with 409 when the patch names another resourceVersion than the stored one.
   */
  patch(id: ObjectId, patch: MergePatch, signal: AbortSignal): Promise<KubeObject>;
  /**
   * Replaces an object that is the agent's own. Rejects with 409 unless its resourceVersion is the stored one. Objects of stacks are
   * applied or patched instead, since a replacement writes every field that anybody has set.
   */
  replace(object: KubeObject, signal: AbortSignal): Promise<KubeObject>;
  /** Deletes the object with this uid, and its dependents in the background. Rejects with 409 when the object has another uid. */
  remove(id: ObjectId, uid: string, signal: AbortSignal): Promise<void>;
  /** Returns the last lines of a container's log as one text. */
  readLog(pod: ObjectId, options: LogOptions, signal: AbortSignal): Promise<string>;
  /** Yields the lines of a container's log, each after its time, until the container or the server ends the stream. */
  followLog(pod: ObjectId, options: FollowOptions, signal: AbortSignal): AsyncIterable<TextLine>;
  /** Returns the same cluster, used as this ServiceAccount ("namespace/name"). Discovery still uses the agent's own rights. */
  impersonate(serviceAccount: string): Cluster;
  /** Returns the server's version, such as `v1.36.3`. */
  version(signal: AbortSignal): Promise<string>;
  close(): void;
}

/** Fields to set; null removes one. A list is replaced as a whole. */
export type MergePatch = Readonly<Record<string, unknown>>;

export interface ApplyOptions {
  readonly dryRun: boolean;
  /** Takes over fields that other managers own. */
  readonly force: boolean;
  /** With `force`: takes over fields of others, too, that make the result invalid, and applies once more. */
  readonly takesObstacles?: boolean;
}

export interface ApplyResult {
  readonly object: KubeObject;
  readonly created: boolean;
  /** Warnings of the API server about the object. */
  readonly warnings: readonly string[];
}

export interface ListOptions {
  readonly namespace: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  /** Maximum number of objects; a versioned list then returns one page only. */
  readonly limit?: number;
}

export interface MetadataOption {
  /** Asks for nothing but metadata. Servers that cannot leave out the rest return it too. */
  readonly metadataOnly?: boolean;
}

export interface VersionedPage {
  readonly objects: readonly KubeObject[];
  readonly resourceVersion: string;
}

export interface WatchOptions extends MetadataOption {
  readonly namespace: string;
  readonly labelSelector: string;
  readonly resourceVersion: string;
  /** Milliseconds after which the server ends the watch. */
  readonly timeoutMs: number;
}

export interface LogOptions {
  readonly container: string;
  /** Maximum number of lines. */
  readonly lines: number;
  /** Maximum number of bytes. */
  readonly bytes: number;
}

export interface FollowOptions {
  readonly container: string;
  /** Begins at a time, which the server truncates to seconds; `now`, without earlier lines; or at the `beginning`. */
  readonly from: Date | 'now' | 'beginning';
  /** Maximum number of characters of a line, including its time. */
  readonly maxLength: number;
}
